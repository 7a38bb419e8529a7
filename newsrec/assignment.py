"""Which arm of an experiment a reader is in, and the pseudonym under which a reader is logged: keyed hashes, no state.

A reader meets the same arm on every visit, from any server. Each arm draws an exponential number from a hash of salt,
experiment, reader and arm, and divides it by its share; the smallest wins (weighted rendezvous hashing: Thaler and
Ravishankar, 1998, doi:10.1109/90.663936). The order of the arms means nothing, experiments are independent of each
other, and where one arm grows at the others' proportional expense, readers move into that arm and nowhere else.
"""

import hashlib
import hmac
import json
import math
from collections.abc import Mapping

from newsrec.config import InvalidConfig


def arm(reader_id: str, experiment: str, shares: Mapping[str, float], salt: str) -> str:
    """The reader's arm; a fraction ``shares[a]`` of all readers is in arm ``a``.

    Raises InvalidConfig where the shares are no probabilities that sum to 1 (within 1e-9).
    """
    possible = all(0.0 <= share <= 1.0 for share in shares.values())
    if not possible or abs(math.fsum(shares.values()) - 1.0) > 1e-9:
        raise InvalidConfig(f"experiment {experiment}: found shares {dict(shares)}, expected 0 or more, in sum 1")
    arms = [name for name, share in shares.items() if share > 0.0]
    return min(arms, key=lambda name: -math.log(_uniform(salt, experiment, reader_id, name)) / shares[name])


def pseudonym(reader_id: str, key: bytes | None) -> str:
    """32 hex digits of the reader id's HMAC-SHA256 under ``key``, the same for the same key; the id itself without one.

    Raises InvalidConfig for an empty key, which would hide nobody.
    """
    if key is None:
        return reader_id
    if not key:
        raise InvalidConfig(
            "the key of reader pseudonyms is empty; expected secret bytes, or no key to log ids as they are"
        )
    return hmac.new(key, reader_id.encode(), hashlib.sha256).hexdigest()[:32]


def _uniform(*parts: str) -> float:
    """A number in (0, 1] that is a hash of ``parts``; the JSON list keeps ("a", "bc") apart from ("ab", "c")."""
    digest = hashlib.blake2b(json.dumps(parts).encode(), digest_size=8).digest()
    return ((int.from_bytes(digest, "big") >> 11) + 1) / 2**53
