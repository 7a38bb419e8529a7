"""Readers in front of a slate, made for tests."""

from typing import Any

import numpy as np
import torch

from newsrec.simulator.bots import Bots
from newsrec.simulator.response import Encounter, Reaction, ResponseFamily


def encounter(readers: int, articles: int, **fields: Any) -> Encounter:
    """The first decision of ``readers`` readers: every article alike and neutral, but for ``fields``, which broadcast.

    [B, K] fields take what broadcasts to that, the others what broadcasts to [B].
    """
    values = {"patience": 0.0, "present": True, "words": 500.0, "known": False, "reader": np.arange(readers)}
    values |= {"user": values["reader"], "decision": 0, **fields}
    columns = {}
    for number, name in enumerate(Encounter._fields):
        shape = (readers,) if number < 4 else (readers, articles)
        columns[name] = torch.from_numpy(np.array(np.broadcast_to(values.get(name, 0.0), shape)))
    return Encounter(**columns)


def reacted(family: ResponseFamily | Bots, faced: Encounter) -> Any:
    """A ``Reaction`` of arrays."""
    return Reaction(*(column.numpy() for column in family.react(faced)))


def agree(successes: np.ndarray, probability: float) -> None:
    """The share of ``successes`` lies within four standard errors of ``probability``."""
    error = (probability * (1 - probability) / successes.size) ** 0.5
    assert abs(successes.mean() - probability) <= 4 * error, (successes.mean(), probability, error)
