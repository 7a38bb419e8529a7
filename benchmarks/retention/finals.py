"""The four finalists on fresh seeds: does the best long-term policy win half of what there is to win?

The long-term policy was chosen by the screening; of the two supervised ones the better on these seeds is beaten or not.
So chance favours the other side.
"""

from benchmarks.results import Bar, Part
from benchmarks.retention import bars
from benchmarks.retention.bars import Played
from benchmarks.retention.contenders import Choice, study
from benchmarks.retention.size import Size
from newsrec.compare.study import HEADROOM, Study

SHARE, LEAST = 0.5, 0.25
"""Of the headroom, and the lower end of its interval."""
VISITS = 50_000
"""Of every policy."""


def finals(size: Size, choice: Choice) -> Study:
    return study(size, choice.of([*choice.supervised, *choice.long_term]), size.fresh_seeds, oracles=True)


def supervised(choice: Choice, played: Played) -> str:
    """The better one on the fresh seeds."""
    return max(choice.supervised, key=lambda name: bars.mean(played, name))


def measured(size: Size, choice: Choice, played: Played) -> Part:
    best, rival = choice.best, supervised(choice, played)
    found = bars.share(played, best, rival, *HEADROOM)
    told = {
        "best_long_term": best,
        "best_supervised": rival,
        "share_of_headroom": found,
        "shares_of_all": {name: bars.share(played, name, rival, *HEADROOM) for name in choice.long_term},
        "headroom": bars.compared(played, *HEADROOM).contrast,
        "share_above_dwell_known": bars.share(played, "planner", "greedy_dwell", *HEADROOM),
    }
    seen = bars.visits(played)
    return Part(
        {"finals": bars.figures(played, rival) | told},
        [
            Bar(f"active days of {best} over {rival}, the best supervised, as a share of the oracle's headroom",
                found.value, (found.low, found.high), f"{SHARE:g} or more, lower end {LEAST:g} or more",
                bool(found.value >= SHARE and found.low >= LEAST)),
            bars.better(f"lift in active days of {best} over {rival}", bars.compared(played, best, rival)),
            Bar("visits of the policy with the fewest", seen, None, f"{VISITS:,} or more", seen >= VISITS),
        ],
    )  # fmt: skip


def protocol(size: Size) -> str:
    return (
        f"Two finalists of each side, trained and played as before with {len(size.fresh_seeds)} fresh seeds; the "
        f"headroom is the planner's active days less those of a perfect click model; what is left of it above a "
        f"perfect model of minutes read is told, too. Fieller's interval, Student's "
        f"over training seeds, readers paired."
    )
