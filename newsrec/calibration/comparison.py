"""A log against the world fitted to it: what it tells, what stays assumed, and how alike the two are."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from newsrec.calibration.fitting import Fitted, FittingConfig, fit, with_values
from newsrec.calibration.knobs import READ_OFF, in_use, knobs, reason
from newsrec.calibration.moments import doubts, moments
from newsrec.calibration.read_off import read_off
from newsrec.evaluation.log_statistics import Statistic, describe
from newsrec.evaluation.observations import observe, slates_with_click
from newsrec.events import EventLog
from newsrec.features import SESSION_GAP_MINUTES
from newsrec.simulator.config import SimulationConfig
from newsrec.simulator.parameters import parameters


class Calibration(NamedTuple):
    """What a log says of a world, and what that world's log is like."""

    config: SimulationConfig
    """The fitted world: as long as the log and with as many readers."""
    fitted: list[Fitted]
    read_off: dict[str, Any]
    """Parameters that stand in the log as they are."""
    assumed: dict[str, str]
    """Every other claim about readers and newsrooms, and why the log does not tell it."""
    log: dict[str, Statistic]
    simulated: dict[str, Statistic]
    """Of a world of another seed than the one it was fitted with."""
    only_clicked: bool
    """Whether the log left out slates without a click; in both logs the others are then not looked at."""
    confidence: float


def calibrate(
    log: EventLog,
    base: SimulationConfig,
    fitting: FittingConfig,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Calibration:
    """``base`` with all that ``log`` tells fitted to it. Sessions of both begin after half an hour without a slate.

    ``progress`` is called with the worlds simulated and their number. Raises InvalidEvents for a log without decisions,
    CannotCalibrate where it tells nothing, InvalidConfig where it calls for a world that cannot be.
    """
    observed, generator = observe(log, SESSION_GAP_MINUTES), np.random.default_rng(fitting.seed)
    if observed.only_clicked:
        observed = observe(slates_with_click(log), SESSION_GAP_MINUTES)
    aim = moments(observed, generator, fitting.draws)
    aim = aim._replace(refusals=doubts(observed, aim))
    plain = read_off(observed, base)
    found = fit(observed, aim, with_values(base, {**plain, "readers": fitting.readers}), fitting, progress)
    plain["readers"] = round(observed.readers * fitting.readers / found.simulated.readers)  # some are not seen
    values = {parameter.parameter: parameter.value for parameter in found.parameters}
    refused = {knob.parameter: aim.refusals.get(knob.moment, "") for knob in knobs(base)} | found.unanswered
    claims = [
        parameter.path
        for parameter in parameters(base)
        if (parameter.origin == "assumed" or parameter.path in READ_OFF) and in_use(base, parameter.path)
    ]
    return Calibration(
        with_values(base, {**plain, **values}),
        found.parameters,
        plain,
        {path: refused.get(path) or reason(path) for path in claims if path not in {*plain, *values}},
        describe(observed, generator, fitting.draws, fitting.confidence),
        describe(found.simulated, generator, draws=0),
        observed.only_clicked,
        fitting.confidence,
    )
