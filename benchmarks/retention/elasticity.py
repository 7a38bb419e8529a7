"""The lift over the elasticity of returns, trained at the nominal one; and clicks where there is nothing else to win.

Where reading does not move returns, a policy that gives clicks away gives them away for nothing. What the nominal log
taught is no longer true there, so the same is asked of policies that learn from a log of that world.
"""

from dataclasses import replace

from benchmarks.results import Bar, Part
from benchmarks.retention import bars
from benchmarks.retention.bars import Played
from benchmarks.retention.contenders import Choice, study, written
from benchmarks.retention.size import Size
from newsrec.compare.study import Study
from newsrec.evaluation.contrast import Point, monotone_within_intervals, rises

WORLDS = ("reversed", "indifferent", "nominal", "elastic")
"""Of the study's file, in rising order of elasticity."""
LOST = 0.01
"""Share of clicks that may be lost where they are all there is."""


def curve(size: Size, choice: Choice, rival: str) -> Study:
    worlds = {name: written().worlds[name] for name in WORLDS}
    return study(size, choice.of([rival, choice.best]), size.fresh_seeds, worlds=worlds)


def learnt_there(size: Size, choice: Choice, rival: str) -> Study:
    """Both policies trained and played where reading moves nothing."""
    found = study(size, choice.of([rival, choice.best]), size.screening_seeds)
    return replace(found, log=replace(found.log, elasticity=0.0))


def measured(choice: Choice, rival: str, by_world: dict[str, Played], there: Played) -> Part:
    best = choice.best
    settings = {name: float(written().worlds[name].get("elasticity", written().log.elasticity)) for name in WORLDS}
    lifts = {name: bars.compared(played, best, rival) for name, played in by_world.items()}
    points = [Point(settings[name], lifts[name].contrast) for name in WORLDS]
    zero = lifts["indifferent"]
    monotone = monotone_within_intervals(points)
    ends = lifts[WORLDS[-1]].lift
    steepness = Bar(f"lift of {best} at elasticity {settings[WORLDS[-1]]:g}, and the curve to there", ends.value,
                    (ends.low, ends.high), "no interval wholly below an earlier one", monotone)  # fmt: skip
    clicks = {
        "trained at the nominal elasticity": bars.compared(by_world["indifferent"], best, rival, "clicks"),
        "trained there": bars.compared(there, best, rival, "clicks"),
    }
    figures = {
        "elasticity": settings,
        "lifts": {name: found.lift for name, found in lifts.items()},
        "rises": rises(points),
        "clicks_at_zero": {name: found.lift for name, found in clicks.items()},
        "learnt_at_zero": bars.figures(there, rival),
        "worlds": {name: bars.figures(played, rival) for name, played in by_world.items()},
    }
    return Part(
        {"elasticity": figures},
        [
            Bar(f"lift of {best} over {rival} at elasticity 0", zero.lift.value, (zero.lift.low, zero.lift.high),
                "interval holds 0", zero.contrast.low <= 0 <= zero.contrast.high),
            bars.not_better(f"lift of {best} over {rival} at elasticity {settings['reversed']:g}", lifts["reversed"]),
            steepness,
            *(_clicks(f"clicks of {best} over {rival} at elasticity 0, {how}", found) for how, found in clicks.items()),
        ],
    )  # fmt: skip


def _clicks(title: str, found: bars.Compared) -> Bar:
    lift = found.lift
    return Bar(title, lift.value, (lift.low, lift.high), f"{-LOST:g} or more", lift.value >= -LOST)


def protocol(size: Size) -> str:
    return (
        f"The best policy of each side, trained at elasticity 1.5, played to the same readers in worlds that differ by "
        f"elasticity alone, with the {len(size.fresh_seeds)} fresh seeds; clicks also of both trained and played at 0, "
        f"with the {len(size.screening_seeds)} seeds of the screening."
    )
