"""What a run starts from, read where the run is. Never cached: KFP's cache sees neither releases nor sources."""

from typing import NamedTuple

from components import component


@component
def resolve(releases: str, source: str, until: str, store: str = "") -> NamedTuple(
    "Start", [("incumbent", str), ("data", str), ("until", str)]
):  # type: ignore[valid-type]
    """The served version, the digest of ``source``, and the run's moment in microseconds (a text: it is exact)."""
    from newsrec import run_start

    return run_start.resolve(releases, source, until, store)
