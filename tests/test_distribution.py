"""Which of the two processes of ``make test`` gets which tests, and in which order."""

import pytest

from tests.conftest import ROOT, pytest_collection_modifyitems
from tests.distribution import LONGEST, TOGETHER, Distribution


@pytest.mark.parametrize("path", [*LONGEST, *(path for paths in TOGETHER.values() for path in paths)])
def test_what_is_named_is_there(path: str) -> None:
    assert (ROOT / path).exists()


def test_files_that_share_what_takes_long_go_together_and_all_others_by_themselves() -> None:
    distribution = object.__new__(Distribution)
    paths = ["serving/test_start.py", "serving/test_health.py", "monitoring/test_drift.py", "test_supervision.py"]
    groups = [distribution._split_scope(f"tests/{path}::test_it[a::b]") for path in (*paths, "test_events.py")]
    assert groups == ["servers", "servers", "two releases", "two releases", "tests/test_events.py"]


def test_long_files_come_first_and_the_rest_as_it_was() -> None:
    class Named:
        def __init__(self, path: str) -> None:
            self.nodeid = f"{path}::test_it"

    folder, file = "tests/serving/test_start.py", "tests/test_policy_contract.py"
    assert file in LONGEST
    items = [Named(path) for path in ("tests/b.py", file, "tests/a.py", folder, "tests/b.py")]
    pytest_collection_modifyitems(items)
    names = [item.nodeid.partition("::")[0] for item in items]
    assert names == [folder, file, "tests/b.py", "tests/a.py", "tests/b.py"]
