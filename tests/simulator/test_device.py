"""Readers on another device than the processor: nothing that the world makes stays behind.

Without another device at hand, what would be left behind is what is made without saying where.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from newsrec.config import InvalidConfig
from newsrec.simulator import luck
from newsrec.simulator.config import SimulationConfig
from newsrec.simulator.lives import live
from newsrec.simulator.oracle import planner
from newsrec.simulator.readers import PopulationConfig
from newsrec.simulator.response import Feedback
from newsrec.simulator.shocks import ShockConfig
from newsrec.simulator.world import World

CONFIG = SimulationConfig(
    readers=40,
    days=4,
    population=PopulationConfig(visits_per_day=2.0, cookie_clearers=0.5, bots=0.1),
    shocks=ShockConfig(per_month=20.0),
)
WORLDS = [
    replace(CONFIG, response_family=response, return_family=returns)
    for response in ("utility", "cascade")
    for returns in ("hazard", "self_exciting")
]
MAKERS = {torch.arange, torch.empty, torch.full, torch.linspace, torch.ones, torch.tensor, torch.zeros}


class Moved(NamedTuple):
    """An array that has not been put anywhere yet: all that one can do with it is that."""

    tensor: Tensor

    def to(self, device: torch.device) -> Tensor:
        return self.tensor.to(device)


class Places(TorchFunctionMode):
    """Notes what is made without saying where."""

    def __init__(self) -> None:
        super().__init__()
        self.made, self.nowhere = 0, set()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in MAKERS:
            self.made += 1
            if (kwargs or {}).get("device") is None:
                self.nowhere.add(func.__name__)
        return func(*args, **(kwargs or {}))


@contextmanager
def watched(monkeypatch: pytest.MonkeyPatch) -> Iterator[Places]:
    for cached in (luck.numbers, luck._starts):
        cached.cache_clear()
    from_numpy = torch.from_numpy
    with monkeypatch.context() as patch, Places() as places:
        patch.setattr(torch, "from_numpy", lambda array: Moved(from_numpy(array)))
        yield places


def tell(world: World) -> list[Feedback]:
    rows, told = np.arange(CONFIG.readers), []
    for turn in range(12):
        slate = (rows[:, None] * 7 + turn * 3 + np.arange(10)) % len(world.newsroom.published)
        told.append(world.respond(rows, slate.astype(np.int32)))
    world.begin(np.array([3, 1]), np.array([70, 71]))
    world.device(rows, world.user.numpy(), world.visit.numpy())
    return told


@pytest.mark.parametrize("config", WORLDS, ids=lambda c: f"{c.response_family}-{c.return_family}")
def test_whatever_a_world_makes_it_says_where(config: SimulationConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    with watched(monkeypatch) as places:
        world = World(config, record_causes=True)
        told = tell(world)
        planner(world, np.arange(CONFIG.readers))
    assert places.made > 100
    assert not places.nowhere
    assert sum((events.kind == 1).sum() for events in told) > 100


def test_the_watch_finds_what_was_made_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    with watched(monkeypatch) as places:
        torch.zeros(3)
        with pytest.raises(AttributeError):
            torch.from_numpy(np.zeros(3)).sum()
    assert places.nowhere == {"zeros"}


def test_a_device_that_is_not_there_is_refused() -> None:
    with pytest.raises(InvalidConfig, match="device is cuda:77, expected cpu or one that this machine has"):
        World(CONFIG, device="cuda:77")
    with pytest.raises(InvalidConfig, match="device is attic, expected"):
        World(CONFIG, device="attic")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("config", WORLDS, ids=lambda c: f"{c.response_family}-{c.return_family}")
def test_readers_do_the_same_on_cuda(config: SimulationConfig) -> None:
    """The same events, at times that differ by a rounding at most."""
    here, there = World(config), World(config, device="cuda")
    for a, b in zip(tell(here), tell(there), strict=True):
        for name, x, y in zip(Feedback._fields, a, b, strict=True):
            if name in ("time", "received"):
                assert np.abs(x - y).max() <= 50
            else:
                np.testing.assert_allclose(x, y, rtol=1e-6, err_msg=name)
    assert all(value.is_cuda for value in vars(there).values() if isinstance(value, Tensor))
    assert live(config, planner, "cuda").visits.sum() > 0
