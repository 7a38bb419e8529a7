"""Interests that move: the drift's law and that it is one path, liking and boredom by hand."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from newsrec.features import DAY, HOUR
from newsrec.simulator.tastes import TasteConfig, Tastes

MONDAY = 19_786 * DAY  # 4 March 2024
N, T = 4_000, 3
STILL = TasteConfig(drift=0.0, liking=0.0, boredom=0.0)
LASTING = torch.from_numpy(np.random.default_rng(0).normal(size=(N, T)).astype(np.float32))


def tastes(config: TasteConfig, readers: int = N) -> Tastes:
    return Tastes(config, LASTING[:readers], torch.arange(readers), MONDAY, 0)


def at(found: Tastes, hours: float, readers: np.ndarray | None = None) -> np.ndarray:
    """[B, T] interests, ``hours`` after the start."""
    rows = torch.arange(len(found.lasting)) if readers is None else torch.from_numpy(readers.copy())
    return found.at(rows, torch.full_like(rows, MONDAY + int(hours * HOUR))).numpy()


def test_without_drift_liking_and_boredom_interests_stay() -> None:
    found = tastes(STILL)
    read = torch.ones((N, 1), dtype=torch.bool)
    found.learn(torch.arange(N), torch.ones((N, 1, T)), read, read, read.double())
    assert (at(found, 500.0) == LASTING.numpy()).all()


def test_drift_keeps_its_spread_and_forgets_by_half_lives() -> None:
    found = tastes(replace(STILL, drift=0.5, drift_days=4.0))
    first, later = (at(found, hours) - LASTING.numpy() for hours in (1.0, 24 * 8.0))
    for moment in (first, later):
        assert moment.std() == pytest.approx(0.5, rel=0.03)
        assert abs(moment.mean()) < 0.02
    assert np.corrcoef(first.ravel(), later.ravel())[0, 1] == pytest.approx(0.25, abs=0.03)
    assert (at(found, 24 * 8 + 23.0) - LASTING.numpy() == later).all()  # a step a day
    assert np.abs(np.corrcoef((later - 0.25 * first).T)[0, 1:]).max() < 0.06  # each topic by itself


def test_drift_is_one_path_however_often_and_with_whom_one_looks() -> None:
    config, some = replace(STILL, drift=0.5), np.array([3_017, 12, 400])
    daily, once, few = tastes(config), tastes(config), tastes(config, 500)
    for day in range(12):
        last = at(daily, 24.0 * day, some if day % 2 else None)
    assert at(once, 24 * 11.0, some) == pytest.approx(last, abs=1e-5)
    assert at(few, 24 * 11.0, some[1:]) == pytest.approx(last[1:], abs=1e-5)
    after = tastes(config)
    assert (at(after, 24 * 11.0, some[::-1]) == at(tastes(config), 24 * 11.0, some)[::-1]).all()


def test_good_reads_make_liking_and_all_reads_make_bored() -> None:
    """By hand, on two reads of worth 0.9 and 0.2 on topics 0 and 0/1, and a glance at topic 2."""
    config = TasteConfig(
        drift=0.0,
        liking=0.5,
        liking_reads=2.0,
        liking_days=2.0,
        boredom=1.0,
        boredom_reads=3.0,
        boredom_hours=24.0,
        glance=0.1,
    )
    found, one = tastes(config, 1), torch.ones((1, 3), dtype=torch.bool)
    topics = torch.tensor([[[1, 0, 0], [0.75, 0.25, 0], [0, 0, 1]]])
    worth = torch.tensor([[0.9, 0.2, 0.5]], dtype=torch.float64)
    found.learn(torch.tensor([0]), topics, one, torch.tensor([[True, True, False]]), worth)
    liked, tired = np.array([0.8 - 0.75 * 0.6, -0.25 * 0.6, 0.0]), np.array([1.75, 0.25, 0.1])
    gain = 0.5 * liked / (np.abs(liked) + 2.0) - tired / (tired + 3.0)
    assert at(found, 0.0)[0] - LASTING[0].numpy() == pytest.approx(gain, abs=1e-6)
    liked, tired = liked / 2, tired / 4  # two days later
    gain = 0.5 * liked / (np.abs(liked) + 2.0) - tired / (tired + 3.0)
    assert at(found, 48.0)[0] - LASTING[0].numpy() == pytest.approx(gain, abs=1e-6)


def test_what_a_reader_acquires_is_bounded() -> None:
    config = TasteConfig(drift=0.0, liking=0.5, boredom=1.0)
    huge = torch.full((1, T), 1e9)
    assert tastes(config).acquired(huge, 0 * huge).numpy() == pytest.approx(0.5)
    assert tastes(config).acquired(-huge, huge).numpy() == pytest.approx(-1.5)


@pytest.mark.parametrize(
    ("field", "value"), [("drift", -0.1), ("drift_days", 0.0), ("boredom_reads", 0.0), ("glance", 2.0)]
)
def test_impossible_tastes_are_refused_by_name(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{field} is {value}, expected"):
        TasteConfig(**{field: value})
