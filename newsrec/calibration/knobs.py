"""Which parameter of a simulated world moves which moment of its log, and why a log says nothing of the others."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.special import expit, logit

from newsrec.simulator.config import SimulationConfig


class Scale(NamedTuple):
    """A parameter without its bounds, and back."""

    free: Callable[[float], float]
    bounded: Callable[[float], float]


PLAIN = Scale(float, float)
NOT_NEGATIVE = Scale(float, lambda x: max(float(x), 0.0))
POSITIVE = Scale(lambda x: float(np.log(max(x, 1e-6))), lambda x: float(np.exp(x)))
SHARE = Scale(lambda x: float(logit(np.clip(x, 1e-6, 1 - 1e-6))), lambda x: float(expit(x)))


class Knob(NamedTuple):
    """A parameter, by its path in SimulationConfig: turned by 1 on its scale it moves its moment by about ``slope``.

    It moves the other moments of its ``block`` too; what it does to those of other blocks is small.
    """

    block: str
    moment: str
    parameter: str
    scale: Scale
    slope: float = 1.0


OF_ALL = (
    Knob("visits", "visit_rate", "population.visits_per_day", POSITIVE),
    Knob("visits", "visit_concentration", "population.activity_spread", POSITIVE, slope=3.0),
    Knob("stays", "stay", "population.patience", SHARE),
    Knob("stays", "stay_spread", "population.patience_spread", POSITIVE),
    Knob("age", "oldest_candidate", "newsroom.shelf_life_hours", POSITIVE),
    Knob("lateness", "late_share", "arrival.late_share", SHARE),
    Knob("lateness", "late_minutes", "arrival.late_minutes", POSITIVE),
)
OF_RESPONSE = {
    "utility": (
        Knob("stays", "stay_click", "utility.patience_click", PLAIN),
        Knob("reading", "dwell", "utility.dwell_seconds", POSITIVE),
        Knob("reading", "dwell_spread", "utility.dwell_spread", POSITIVE),
        Knob("looking", "to_click", "utility.scan_seconds", POSITIVE),
        Knob("clicks", "click_rate", "utility.base", PLAIN),
        Knob("clicks", "position_slope", "utility.position_bias", NOT_NEGATIVE),
    ),
    "cascade": (
        Knob("reading", "dwell", "cascade.engaged_seconds", POSITIVE),
        Knob("reading", "dwell_spread", "cascade.dwell_shape", POSITIVE, slope=-1.0),
        Knob("looking", "to_click", "cascade.glance_seconds", POSITIVE),
        Knob("clicks", "click_rate", "cascade.threshold", PLAIN, slope=-1.7),
    ),
}
OF_KIND = ("like", "share", "comment", "hide")
READ_OFF = ("readers", "days", "start", "slate_size", "candidates", "articles_per_day")
"""Parameters that stand in a log as they are."""
LAWS = {"response_family": ("utility", "cascade"), "return_family": ("hazard", "self_exciting")}
"""Of the tables of each, a world uses one."""

_HIDDEN = "what an article is to a reader is in no log"
_SATISFACTION = "what readers felt is in no log, and dwell, which is, hardly goes with the gap to their next visit"
_LOOK = "which articles were looked at is in no log"
_LONGEST = "a log cannot tell a longest dwell from the longest that it has seen"
_COOKIES = "a reader who cleared their cookies is another reader to the log"
_BOTS = "a log does not say who is a bot"
REASONS = {
    "days": "the log has no clock",
    "start": "the log has no clock",
    "candidates": "the log does not say what else could have been shown",
    "articles_per_day": "the log does not say when articles were published",
    "elasticity": _SATISFACTION,
    "clickbait_cost": _HIDDEN,
    "newsroom": "what articles are made of is assumed together with their titles",
    "shocks": "a log of days or weeks holds too few to tell",
    "population.interest_spread": _HIDDEN,
    "population.topic_appeal_spread": _HIDDEN,
    "population.rhythm_shift_hours": "kinds of rhythm are assumed, a shift against them is not seen apart",
    "population.cookie_clearers": _COOKIES,
    "population.cookie_clearing": _COOKIES,
    "population.bots": _BOTS,
    "population.bot_visits_per_day": _BOTS,
    "bots": _BOTS,
    "tastes": _HIDDEN,
    "utility": _HIDDEN,
    "utility.dwell_cap_seconds": _LONGEST,
    "cascade": _HIDDEN,
    "cascade.persistence": _LOOK,
    "cascade.weariness": _LOOK,
    "cascade.satiation": _LOOK,
    "cascade.haste": _LOOK,
    "cascade.dwell_cap_seconds": _LONGEST,
    "hazard": _SATISFACTION,
    "self_exciting": _SATISFACTION,
}
"""Why a parameter, or all of a table, stays assumed; the longest name that fits counts."""


def knobs(config: SimulationConfig) -> tuple[Knob, ...]:
    """Those of the laws that ``config`` has chosen."""
    law = config.response_family
    return OF_ALL + OF_RESPONSE[law] + tuple(Knob(kind, kind, f"{law}.{kind}", SHARE) for kind in OF_KIND)


def in_use(config: SimulationConfig, path: str) -> bool:
    """Whether the parameter at ``path`` belongs to a law that ``config`` has chosen, or to none."""
    table = path.partition(".")[0]
    return all(table not in tables or table == getattr(config, law) for law, tables in LAWS.items())


def reason(path: str) -> str:
    """Why no log tells the parameter at ``path``."""
    name = path
    while name and name not in REASONS:
        name = name.rpartition(".")[0]
    return REASONS.get(name, "no number of a log moves with it alone")
