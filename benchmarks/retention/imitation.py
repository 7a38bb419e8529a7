"""A tenth of an expert's interactions: how much of what the expert wins does its clone win?

The expert is the best long-term policy; what it wins is counted from the policy that wrote the log it learnt from. Its
clone never sees a reward, only slates that the expert drew for a tenth as many readers.
"""

from benchmarks.results import Bar, Part
from benchmarks.retention import bars
from benchmarks.retention.bars import Played
from benchmarks.retention.contenders import CLONES, Choice, study
from benchmarks.retention.size import Size
from newsrec.compare.study import BEHAVIOUR, Study

EXPERT, CLONE = "expert", "clone"
SHARE = 0.8


def cloned(size: Size, choice: Choice) -> Study:
    expert = choice.tables[choice.best]
    logs = {"shown": {"by": EXPERT, "world": {"readers": size.small_log_readers}, "slate": expert.get("slate", {})}}
    clone = {"policy": "imitation", "model": {"imitate": "slates"}, "training": expert["training"], "slate": CLONES}
    contenders = {EXPERT: expert, CLONE: {**clone, "log": "shown"}}
    return study(size, contenders, size.further_seeds, behaviour=True, baseline=BEHAVIOUR, logs=logs)


def measured(choice: Choice, played: Played) -> Part:
    share = bars.share(played, CLONE, BEHAVIOUR, EXPERT, BEHAVIOUR)
    won = bars.compared(played, EXPERT, BEHAVIOUR)
    figures = bars.figures(played, BEHAVIOUR) | {"expert": choice.best, "share": share, "expert_lift": won.lift}
    return Part(
        {"imitation": figures},
        [
            Bar(f"what a clone of {choice.best} wins from a tenth of the interactions, as a share of its expert's",
                share.value, (share.low, share.high), f"{SHARE:g} or more of something above 0",
                bool(share.value >= SHARE and won.contrast.difference > 0)),
        ],
    )  # fmt: skip


def protocol(size: Size) -> str:
    return (
        f"The expert writes a log of {size.small_log_readers:,} readers and {size.log_days} days; its clone learns the "
        f"slates' Plackett-Luce likelihood. Lifts are over uniform slates. Played to {size.readers:,} readers a seed."
    )
