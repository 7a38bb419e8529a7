"""Synthetic logs of two headlines whose truth is known, and bounds that are written down by hand."""

import numpy as np

from newsrec.evaluation.off_policy import contextual
from newsrec.evaluation.off_policy.contextual import ContextualLog
from newsrec.evaluation.shipping.bounds import Bound, Measured
from newsrec.evaluation.shipping.config import ShippingConfig
from newsrec.evaluation.shipping.plan import Volume
from newsrec.evaluation.shipping.verdict import Findings

VOLUME = Volume((400.0, 100.0, 100.0), 1000.0)


def asked(**other: object) -> ShippingConfig:
    return ShippingConfig(**{"objective": "click_rate", "effect": 0.02, "tolerated_loss": 0.005, **other})


def bound(metric: str = "click_rate", **other: object) -> Bound:
    """Nothing is known for sure, unless said otherwise."""
    given = dict(gain=0.01, low=-0.04, high=0.06, needed=0.0, tolerated=0.002, error=0.1, deviation=0.5)
    return Bound(metric, **{**given, "readers": 400, "logged": True, **other})


def log_of(readers: int, lift: float, generator: np.random.Generator) -> tuple[ContextualLog, np.ndarray]:
    """The log, and which decisions showed headline 1, clicked ``lift`` likelier than headline 0 (30 %).

    The incumbent shows each of the two in half of the two decisions a reader, the candidate shows headline 1 in 80 %:
    its true gain is 0.3 lift.
    """
    shown = generator.random(2 * readers) < 0.5
    click = generator.random(2 * readers) < 0.3 + lift * shown
    half = np.full(2 * readers, 0.5)
    return ContextualLog(np.repeat(np.arange(readers), 2), click * 1.0, half, np.where(shown, 0.8, 0.2)), shown


def findings(readers: int, lift: float, generator: np.random.Generator, harm: float | None = None) -> Findings:
    """``harm`` is by how much likelier headline 1 is hidden than headline 0 (5 %)."""
    log, shown = log_of(readers, lift, generator)
    measured = {"click_rate": Measured(contextual.snips(log), contextual.on_policy(log))}
    if harm is not None:
        hidden = log._replace(reward=1.0 * (generator.random(2 * readers) < 0.05 + harm * shown))
        measured["hides"] = Measured(contextual.snips(hidden), contextual.on_policy(hidden))
    return Findings(measured, contextual.weights(log), VOLUME)
