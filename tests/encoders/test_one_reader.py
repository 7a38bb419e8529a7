"""The form for one reader is the network: every policy, any history, before and after padding, and no read at all."""

import functools
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from newsrec.encoders.history import CausalTransformer
from newsrec.encoders.one_reader import OneReader, one_reader
from newsrec.encoders.scorer import HistoryScorer, NetworkConfig
from newsrec.features import EMBEDDING_DIM, HISTORY_LENGTH
from newsrec.registry import REGISTRY
from newsrec.transitions import CONTEXT_DIM, State, empty_state

ARTICLES = 20
TOLERANCE = 5e-6
"""Of the largest number of the vector: sums of 64 float32 in another order."""
IN_ONE = [name for name in REGISTRY if issubclass(REGISTRY[name].policy, HistoryScorer)]
sizes = pytest.mark.parametrize(
    "sizes",
    [
        {},
        {"layers": 1},
        {"layers": 3, "heads": 4},
        {"width": 24, "heads": 3, "alpha": 0.0},
        {"heads": 1, "alpha": 1.0, "history": 7},
    ],
    ids=str,
)


def told(policy: torch.nn.Module, seed: int = 0) -> Any:
    """``policy`` with no weight as it began."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
    return policy.eval()


@functools.cache
def scorer(**sizes: Any) -> HistoryScorer:
    return told(HistoryScorer(NetworkConfig(**sizes), ARTICLES))


def history(reads: int, seed: int = 0, padding: int = 0) -> State:
    """One reader, some of whose articles are unknown; behind the reads stand ``padding`` places of anything."""
    draw, length = np.random.default_rng(seed), reads + padding
    age = np.sort(draw.exponential(60.0, length))[::-1] * (np.arange(length) < max(reads, 1))
    columns = (
        draw.integers(0, ARTICLES + 1, length),
        draw.standard_normal((length, EMBEDDING_DIM)).astype(np.float32) / 8,
        age.astype(np.float32),
        (draw.exponential(40.0, length) * draw.integers(0, 2, length)).astype(np.float32),
        np.arange(length) < reads,
    )
    return State(*(torch.from_numpy(column[None].copy()) for column in columns), torch.zeros(1, CONTEXT_DIM))


def in_one(tower: OneReader | None, state: State) -> np.ndarray:
    assert tower is not None
    return tower.vector(*(column[0][state.history_mask[0]].numpy() for column in state[:4]))


def assert_same(found: np.ndarray, expected: torch.Tensor) -> None:
    wanted = expected[0].detach().numpy()
    assert (found.shape, found.dtype) == (wanted.shape, np.float32)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=TOLERANCE * max(1.0, np.abs(wanted).max()))


@pytest.mark.parametrize("name", IN_ONE)
def test_it_is_the_reader_of_every_policy_with_a_history_transformer(name: str) -> None:
    policy = told(REGISTRY[name].policy(REGISTRY[name].config(), ARTICLES))
    for reads in (0, 1, 2, 17, HISTORY_LENGTH):
        state = history(reads, reads) if reads else empty_state(1)
        assert_same(in_one(one_reader(policy), state), policy.reader(state))


@sizes
@settings(max_examples=30, deadline=None)
@given(reads=st.integers(1, HISTORY_LENGTH), seed=st.integers(0, 10_000), padding=st.integers(0, 3))
def test_it_is_the_network_of_any_size(sizes: dict[str, Any], reads: int, seed: int, padding: int) -> None:
    network = scorer(**sizes)
    state = history(reads, seed, padding)
    assert_same(in_one(one_reader(network), state), network.reader(state))


@sizes
def test_of_no_read_there_is_what_is_known_of_nobody(sizes: dict[str, Any]) -> None:
    tower = one_reader(scorer(**sizes))
    assert tower is not None
    assert_same(tower.nobody(), scorer(**sizes).reader(empty_state(1)))


def test_every_part_of_a_read_and_their_order_matter() -> None:
    """Else both forms could be equally blind."""
    tower, state = one_reader(scorer()), history(12)
    before = in_one(tower, state)
    for name in ("history_index", "history_content", "history_age_hours", "history_dwell_seconds"):
        column = getattr(state, name).clone()
        column[0, 3] = (column[0, 3] + 1) % ARTICLES if name == "history_index" else column[0, 3] + 1.0
        assert np.abs(in_one(tower, state._replace(**{name: column})) - before).max() > 1e-4, name
    turned = State(*(column.flip(1) for column in state[:2]), *state[2:])
    assert np.abs(in_one(tower, turned) - before).max() > 1e-3


def test_it_keeps_the_weights_that_it_was_made_of_and_changes_none() -> None:
    network, state = told(HistoryScorer(NetworkConfig(), ARTICLES), 5), history(9)
    weights = {name: value.clone() for name, value in network.state_dict().items()}
    tower = one_reader(network)
    before = in_one(tower, state)
    assert np.array_equal(in_one(tower, state), before)
    assert all(torch.equal(value, weights[name]) for name, value in network.state_dict().items())
    told(network.history, 6)
    assert np.array_equal(in_one(tower, state), before)
    assert np.abs(in_one(one_reader(network), state) - before).max() > 1e-3


class _OtherHistory(CausalTransformer):
    pass


class _OtherReads(HistoryScorer):
    def noticed(self, reads: torch.Tensor, state: State) -> torch.Tensor:
        return reads


def test_another_network_has_no_such_form() -> None:
    changed = HistoryScorer(NetworkConfig(), ARTICLES)
    changed.history = _OtherHistory(64, 2, 2, 0.0)
    assert one_reader(changed) is None
    assert one_reader(_OtherReads(NetworkConfig(), ARTICLES)) is None
    others = [name for name in REGISTRY if name not in IN_ONE]
    assert others
    for name in others:
        assert one_reader(REGISTRY[name].policy(REGISTRY[name].config(), ARTICLES)) is None, name
