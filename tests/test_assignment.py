"""Arms are sticky, have their shares, do not know each other's experiments, and move no more readers than they must."""

import collections
import hashlib
import hmac
import itertools
import math

import pytest
from scipy import stats

from newsrec.assignment import arm, pseudonym
from newsrec.config import InvalidConfig

READERS = [f"reader-{number}" for number in range(20_000)]
THREE = {"incumbent": 0.5, "dqn": 0.3, "popularity": 0.2}


def test_the_arm_is_the_smallest_of_exponential_draws_from_a_documented_hash() -> None:
    """Worked out by hand for one reader; a server in another language or of another release must agree."""
    message = b'["salt", "front-page", "ann", "%s"]'
    draws = {}
    for name, share in THREE.items():
        digest = hashlib.blake2b(message % name.encode(), digest_size=8).digest()
        draws[name] = -math.log((int.from_bytes(digest, "big") // 2**11 + 1) / 2**53) / share
    assert arm("ann", "front-page", THREE, "salt") == min(draws, key=draws.__getitem__)


def test_assignments_are_pinned() -> None:
    """A change of the hash would move readers in the middle of a running experiment."""
    arms = [arm(reader, "front-page", THREE, "salt") for reader in ("ann", "bob", "cho", "독자", "")]
    assert arms == ["incumbent", "dqn", "popularity", "popularity", "popularity"]


@pytest.mark.parametrize("shares", [THREE, {"a": 0.9, "b": 0.1}, {f"arm{n}": 0.125 for n in range(8)}])
def test_each_arm_gets_its_share(shares: dict[str, float]) -> None:
    counts = collections.Counter(arm(reader, "x", shares, "salt") for reader in READERS)
    expected = [share * len(READERS) for share in shares.values()]
    assert stats.chisquare([counts[name] for name in shares], expected).pvalue > 0.01


@pytest.mark.parametrize(("experiment", "salt"), [("y", "salt"), ("x", "pepper")])
def test_another_experiment_or_salt_is_independent(experiment: str, salt: str) -> None:
    pairs = [(arm(reader, "x", THREE, "salt"), arm(reader, experiment, THREE, salt)) for reader in READERS]
    table = [[sum(pair == (first, second) for pair in pairs) for second in THREE] for first in THREE]
    assert stats.chi2_contingency(table).pvalue > 0.01


def test_the_order_of_the_arms_means_nothing() -> None:
    for order in itertools.permutations(THREE):
        shares = {name: THREE[name] for name in order}
        assert [arm(r, "x", shares, "s") for r in READERS[:500]] == [arm(r, "x", THREE, "s") for r in READERS[:500]]


@pytest.mark.parametrize(
    "grown",
    [
        {"incumbent": 0.4, "dqn": 0.44, "popularity": 0.16},
        {"incumbent": 0.4, "dqn": 0.24, "popularity": 0.16, "new": 0.2},
    ],
)
def test_an_arm_that_grows_takes_readers_and_no_other_moves(grown: dict[str, float]) -> None:
    """The others shrink in proportion (here by a fifth): every reader that moves moves into the arm that grew."""
    (target,) = [name for name in grown if grown[name] > THREE.get(name, 0.0)]
    moves = [(arm(r, "x", THREE, "s"), arm(r, "x", grown, "s")) for r in READERS]
    moved = [(old, new) for old, new in moves if old != new]
    assert {new for _, new in moved} == {target}
    gain = grown[target] - THREE.get(target, 0.0)
    assert stats.binomtest(len(moved), len(READERS), gain).pvalue > 0.01


def test_an_arm_without_a_share_is_empty() -> None:
    assert {arm(reader, "x", {"off": 0.0, "on": 1.0}, "s") for reader in READERS[:1000]} == {"on"}


def test_names_that_run_together_are_kept_apart() -> None:
    one = [arm(f"c{r}", "ab", THREE, "s") for r in READERS[:200]]
    assert one != [arm(r, "abc", THREE, "s") for r in READERS[:200]]


@pytest.mark.parametrize(
    "shares", [{}, {"a": 0.5}, {"a": 0.5, "b": 0.5 + 1e-8}, {"a": 1.5, "b": -0.5}, {"a": math.nan, "b": 1.0}]
)
def test_shares_that_are_no_probabilities_are_refused(shares: dict[str, float]) -> None:
    with pytest.raises(InvalidConfig, match=r"experiment x: found shares .*, expected 0 or more, in sum 1"):
        arm("ann", "x", shares, "s")


def test_shares_may_miss_one_by_rounding() -> None:
    assert arm("ann", "x", {f"arm{n}": 0.1 for n in range(10)}, "s").startswith("arm")


def test_a_pseudonym_is_half_of_an_hmac_and_the_id_itself_without_a_key() -> None:
    expected = hmac.digest(b"secret", "독자".encode(), "sha256")[:16].hex()
    assert pseudonym("독자", b"secret") == expected
    assert pseudonym("독자", b"other") != expected
    assert pseudonym("독자", None) == "독자"
    with pytest.raises(InvalidConfig, match="empty"):
        pseudonym("ann", b"")
