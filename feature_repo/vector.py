"""What is stored beside a reader's row: the vector that a policy's history tower made of it."""

from collections.abc import Mapping
from typing import Any, NamedTuple


class ReaderVector(NamedTuple):
    """What a policy's history tower made of one row of a reader."""

    vector: bytes
    """[W] little-endian float32."""
    policy_version: bytes
    content: int
    """Fingerprint of the contents of the articles in the history, as the tower saw them."""


def made_of(row: Mapping[str, Any], vector: Mapping[str, Any]) -> ReaderVector | None:
    """The stored ``vector`` where it was made of this very ``row``, else None."""
    if vector["event_timestamp"] is None or vector["event_timestamp"] != row["event_timestamp"]:
        return None
    return ReaderVector(vector["vector"], vector["policy_version"], vector["content"])
