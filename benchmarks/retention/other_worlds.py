"""Trained in one world, judged in others: where readers respond or return by other laws, or mind clickbait less."""

from typing import Any

from benchmarks.results import Bar, Part
from benchmarks.retention import bars
from benchmarks.retention.bars import Played
from benchmarks.retention.contenders import Choice, study, written
from benchmarks.retention.size import Size
from newsrec.compare.study import Study

LEAST = 3
"""Worlds with an interval above 0."""


def worlds() -> dict[str, dict[str, Any]]:
    """Name -> what differs from the world of the log."""
    named = ("cascade", "self_exciting", "cascade_self_exciting")
    return {name: written().worlds[name] for name in named} | {"mild_clickbait": {"clickbait_cost": 0.5}}


def elsewhere(size: Size, choice: Choice, rival: str) -> Study:
    return study(size, choice.of([rival, choice.best]), size.fresh_seeds, worlds=worlds())


def measured(choice: Choice, rival: str, by_world: dict[str, Played]) -> Part:
    lifts = {name: bars.compared(played, choice.best, rival).lift for name, played in by_world.items()}
    above = sum(lift.low > 0 for lift in lifts.values())
    worst = min(lifts, key=lambda name: lifts[name].value)
    told = f"{lifts[worst].value:+.1%} [{lifts[worst].low:+.1%}, {lifts[worst].high:+.1%}] in {worst}"
    title = f"other worlds of {len(lifts)} in which the lift of {choice.best} over {rival} is above 0, the worst {told}"
    figures = {"lifts": lifts, "worlds": {name: bars.figures(played, rival) for name, played in by_world.items()}}
    return Part({"other_worlds": figures}, [Bar(title, above, None, f"{LEAST} or more, interval too", above >= LEAST)])


def protocol(size: Size) -> str:
    return (
        "The same two policies as trained for the curve, with its seeds, played where readers respond by a cascade, "
        "where returns excite themselves, both, and where clickbait costs half."
    )
