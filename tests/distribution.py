"""How the tests are dealt out to the two processes of ``make test``."""

from xdist.scheduler import LoadFileScheduling

LONGEST = (
    "tests/serving/",
    "tests/test_policy_contract.py",
    "tests/pipelines/test_local_run.py",
    "tests/monitoring/",
    "tests/test_learning.py",
    "tests/simulator/test_meaning.py",
    "tests/pipelines/test_feedback.py",
    "tests/test_event_log.py",
    "tests/rl/",
)
"""Files and folders that begin first: one of them at the end would leave a core without work."""
TOGETHER = {
    "servers": ("tests/serving/",),
    "two releases": ("tests/monitoring/", "tests/test_supervision.py"),
}
"""Paths whose tests share what takes long to make, so that one process makes it: a site and its servers, logs."""


def order(path: str) -> int:
    """Where the file at ``path`` (from the root) stands: the long ones in their order, then all others."""
    return next((place for place, long in enumerate(LONGEST) if path.startswith(long)), len(LONGEST))


class Distribution(LoadFileScheduling):
    """Whole files, and whole groups of them."""

    def _split_scope(self, nodeid: str) -> str:
        path = super()._split_scope(nodeid)
        return next((name for name, paths in TOGETHER.items() if path.startswith(paths)), path)
