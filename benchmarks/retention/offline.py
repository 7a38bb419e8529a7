"""Offline RL from one log of a mediocre policy: against that policy, against its clone, and against learning online.

The log is written by popularity that has learnt nothing, drawn with chance. Online, the same algorithm goes on from
there: its policy collects a log, it is trained on that from the weights that it had, and again. Controls learn from a
log whose outcomes, or rewards alone, are exchanged among its decisions. Where outcomes are exchanged nothing is left to
learn, so nothing may be won over the log's policy. Where rewards alone are, clicks still say what readers like, and
what is won beyond a click model has to vanish.
"""

from dataclasses import replace
from typing import Any

from benchmarks.results import Bar, Part
from benchmarks.retention import bars
from benchmarks.retention.bars import Played
from benchmarks.retention.contenders import CLONES, Choice, study
from benchmarks.retention.size import Size
from newsrec.compare.study import BEHAVIOUR, ActorConfig, Study
from newsrec.slate import SlateConfig

CLONE, CLICKS, OFFLINE = "clone", "clicks", "offline"
NO_OUTCOMES, NO_REWARDS = "outcomes_permuted", "rewards_permuted"
CARRIED = ["history", "content", "identity", "context", "critics"]
"""Weights that an online round starts from: all of them."""
SHARE, COVERAGE = 0.6, 0.1
"""Of what is won online; of the newsroom's articles."""


def online(number: int) -> str:
    """The learner after ``number`` logs of its own; before the first one it is the offline one."""
    return f"online_{number}" if number else OFFLINE


def from_one_log(size: Size, choice: Choice) -> Study:
    learner = choice.tables[choice.offline]
    slate = learner.get("slate", {})
    contenders: dict[str, dict[str, Any]] = {
        CLICKS: choice.tables["transformer"],
        CLONE: _clone(size, learner),
        OFFLINE: learner,
        NO_OUTCOMES: {**learner, "permuted": "outcomes"},
        NO_REWARDS: {**learner, "permuted": "rewards"},
    }
    logs = {}
    for number in range(1, size.online_rounds + 1):
        before, name = online(number - 1), online(number)
        logs[name] = {"by": before, "market": number, "slate": slate}
        contenders[name] = {**learner, "log": name, "warm_start": before, "warm_start_layers": CARRIED}
    found = study(size, contenders, size.further_seeds, behaviour=True, baseline=BEHAVIOUR, logs=logs)
    return replace(found, actor=ActorConfig("popularity", SlateConfig("plackett_luce")))


def measured(size: Size, choice: Choice, played: Played) -> Part:
    last, name = online(size.online_rounds), choice.offline
    against = {control: bars.compared(played, OFFLINE, control) for control in (BEHAVIOUR, CLONE)}
    share = bars.share(played, OFFLINE, BEHAVIOUR, last, BEHAVIOUR)
    won_online = bars.compared(played, last, BEHAVIOUR)
    figures = bars.figures(played, BEHAVIOUR)
    covered = figures["levels"][OFFLINE]["coverage"].value
    nothing = {
        f"lift of {name} over the log's policy, outcomes permuted": bars.compared(played, NO_OUTCOMES, BEHAVIOUR),
        f"lift of {name} over a click model, rewards permuted": bars.compared(played, NO_REWARDS, CLICKS),
    }
    told = {
        "algorithm": name,
        "share_of_online": share,
        "online": won_online.lift,
        "over_clicks": bars.compared(played, OFFLINE, CLICKS).lift,
        "over_itself_with_rewards_permuted": bars.compared(played, OFFLINE, NO_REWARDS).lift,
    }
    return Part(
        {"offline": figures | told},
        [
            bars.better(f"lift of {name} from one log over the policy of the log", against[BEHAVIOUR]),
            bars.better(f"lift of {name} from one log over behaviour cloning", against[CLONE]),
            Bar(f"what {name} wins from one log, as a share of what it wins online", share.value,
                (share.low, share.high), f"{SHARE:g} or more of something above 0",
                bool(share.value >= SHARE and won_online.contrast.difference > 0)),
            Bar(f"share of the newsroom's articles shown by {name}", covered, None, f"{COVERAGE:g} or more",
                covered >= COVERAGE),
            *(bars.not_better(title, found) for title, found in nothing.items()),
        ],
    )  # fmt: skip


def _clone(size: Size, learner: dict[str, Any]) -> dict[str, Any]:
    """Behaviour cloning on the same terms."""
    return {"policy": "imitation", "model": {"imitate": "slates"}, "training": learner["training"], "slate": CLONES}


def protocol(size: Size) -> str:
    return (
        f"One log of {size.log_readers:,} readers and {size.log_days} days a seed, by untrained popularity drawn by "
        f"Plackett-Luce at temperature 1. Online: {size.online_rounds} more logs as large, each of other readers and "
        f"by the policy trained so far. Played to {size.readers:,} readers a seed."
    )
