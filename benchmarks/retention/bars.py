"""What bars are made of: outcomes of readers, paired by training seed and reader, with their intervals."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from benchmarks.results import Bar
from newsrec.compare.outcomes import OfSeeds, arm, levels
from newsrec.evaluation.contrast import Contrast, Share, contrast, share_of_headroom

Played = Mapping[str, OfSeeds]
"""Contender, oracle or behaviour -> training seed -> the lives of its readers."""


class Compared(NamedTuple):
    """Active days of one policy against another one's."""

    contrast: Contrast
    treated: str
    control: str

    @property
    def lift(self) -> Share:
        return Share(self.contrast.lift, self.contrast.lift_low, self.contrast.lift_high)


def compared(played: Played, treated: str, control: str, outcome: str = "active_days") -> Compared:
    """Of ``outcome``, a field of Lives, per reader, zeros included."""
    return Compared(contrast(arm(played[treated], outcome), arm(played[control], outcome)), treated, control)


def share(played: Played, treated: str, control: str, whole: str, base: str) -> Share:
    """The active days that ``treated`` has over ``control`` as a share of those that ``whole`` has over ``base``."""
    a, b, c, d = (arm(played[name], "active_days") for name in (treated, control, whole, base))
    return share_of_headroom(a, b, c, d)


def better(title: str, found: Compared) -> Bar:
    """Met where the whole interval of the lift lies above 0."""
    return Bar(title, *_lift(found), "above 0, interval too", found.contrast.low > 0)


def not_better(title: str, found: Compared) -> Bar:
    """Met where the interval of the lift does not lie above 0."""
    return Bar(title, *_lift(found), "interval not above 0", found.contrast.low <= 0)


def mean(played: Played, name: str) -> float:
    """Active days a reader of ``name``; seeds weigh alike."""
    return float(levels(played[name])["active_days"].value)


def visits(played: Played) -> float:
    """Of the policy that has the fewest, over all its readers and seeds."""
    return min(sum(float(lives.visits.sum()) for lives in of_seeds.values()) for of_seeds in played.values())


def figures(played: Played, control: str) -> dict[str, Any]:
    """All outcomes of every policy, and its active days against those of ``control``."""
    return {
        "levels": {name: levels(of_seeds) for name, of_seeds in played.items()},
        f"against_{control}": {name: compared(played, name, control).contrast for name in played if name != control},
        "visits_of_smallest_arm": visits(played),
    }


def _lift(found: Compared) -> tuple[float, tuple[float, float]]:
    return found.lift.value, (found.lift.low, found.lift.high)
