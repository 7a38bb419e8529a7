"""What is stored of a reader's next slate: candidates that a policy has scored in advance."""

from collections.abc import Mapping
from typing import Any, NamedTuple


class ReaderSlate(NamedTuple):
    """What the slate of one reader is drawn from."""

    ranking: bytes
    """Candidates and scores, as ``serving.precompute`` packs them."""
    policy_version: bytes
    made_at: int
    """Microseconds since 1970."""


def scored(row: Mapping[str, Any]) -> ReaderSlate | None:
    """The stored ``row``; None where there is none."""
    if row["event_timestamp"] is None:
        return None
    return ReaderSlate(row["ranking"], row["policy_version"], row["event_timestamp"])
