"""Attributions by hand where they are known, complete where they must be, and zero where nothing was read."""

from dataclasses import fields, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from captum.attr import IntegratedGradients

from newsrec.baselines.matrix_factorization import Config as FactorConfig
from newsrec.baselines.matrix_factorization import MatrixFactorizationPolicy
from newsrec.encoders.history import after_last_read
from newsrec.encoders.scorer import HistoryScorer, NetworkConfig, WorthHead
from newsrec.encoders.slate_value import SlateValue
from newsrec.evaluation import explanation
from newsrec.evaluation.explanation import METHODS, only, read_attributions, select
from newsrec.features import EMBEDDING_DIM
from newsrec.registry import REGISTRY
from newsrec.transitions import Candidates, State
from tests.baselines.batches import batch

ARTICLES = 30
NETWORK = NetworkConfig(width=8, layers=2, heads=2, dropout=0.5)
HISTORY_SCORERS = [name for name, entry in REGISTRY.items() if issubclass(entry.policy, HistoryScorer)]


def opinionated(policy: HistoryScorer) -> HistoryScorer:
    """Weights away from their initial values: parts that start at zero would hide mistakes."""
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
        policy.article.identity.weight[0] = 0.0
    return policy


@pytest.fixture
def network() -> HistoryScorer:
    torch.manual_seed(0)
    return opinionated(HistoryScorer(NETWORK, ARTICLES))


def asked() -> tuple[State, Candidates, torch.Tensor]:
    """Readers of five reads, of two and of none; the last candidate of each is asked about."""
    content = torch.randn(ARTICLES + 1, EMBEDDING_DIM, generator=torch.Generator().manual_seed(1))
    content[0] = 0.0
    made = batch([[1, 2, 9, 11, 12], [7, 8], []], [[3, 4, 5], [5, 6, 8], [1, 2, 3]], [0, 1, 0], content)
    dwell = torch.tensor([[3.0, 40.0, 90.0, 10.0, 5.0], [60.0, 8.0, 0.0, 0.0, 0.0], [0.0] * 5])
    return made.state._replace(history_dwell_seconds=dwell), made.candidates, torch.tensor([2, 2, 2])


@pytest.mark.parametrize("name", HISTORY_SCORERS)
def test_integrated_gradients_add_up_to_what_the_history_does_to_the_served_score(name: str) -> None:
    """Against the same readers, had their reads said nothing: whatever the reads, times and dwell are the same.

    Heads that take the reader's vector without a gradient while they learn have their part in it, too.
    """
    torch.manual_seed(0)
    entry = REGISTRY[name]
    model = {"network": NETWORK} if any(field.name == "network" for field in fields(entry.config)) else vars(NETWORK)
    policy: Any = opinionated(entry.policy(entry.config(**model), ARTICLES)).eval()
    for heads in (getattr(policy, part, None) for part in ("value", "retention")):
        if isinstance(heads, SlateValue):
            with torch.no_grad():
                heads.read.own.weight /= WorthHead.reach
    state, candidates, at = asked()
    found = read_attributions(policy, state, candidates, at, "integrated_gradients")
    article = select(candidates, at)
    silent = state._replace(
        history_index=torch.zeros_like(state.history_index), history_content=torch.zeros_like(state.history_content)
    )
    with torch.no_grad():
        full, nothing = (policy.scores(one, article).squeeze(1) for one in (state, silent))
    torch.testing.assert_close(found.sum(1), full - nothing, atol=1e-3, rtol=1e-2)
    assert (full - nothing)[:2].abs().min() > 0.05
    assert found[2].tolist() == [0.0] * 5
    assert found[1, 2:].tolist() == [0.0] * 3


def test_integrated_gradients_are_those_of_captum(network: HistoryScorer) -> None:
    state, candidates, at = asked()
    article, known = select(candidates, at), State(*(column[:2] for column in state))
    article = Candidates(*(column[:2] for column in article))

    def score(reads: torch.Tensor, *inputs: torch.Tensor) -> torch.Tensor:
        told, offered = State(*inputs[: len(state)]), Candidates(*inputs[len(state) :])
        reader = after_last_read(network.outputs(reads, told), told.history_mask)
        return network.served(reader, told.context, offered).squeeze(1)

    reads = network.eval().article(known.history_index, known.history_content).detach()
    parts = IntegratedGradients(score).attribute(reads, additional_forward_args=(*known, *article), n_steps=64)
    found = read_attributions(network, state, candidates, at, "integrated_gradients")
    torch.testing.assert_close(found[:2], parts.sum(-1).float(), atol=2e-3, rtol=1e-2)


def test_many_readers_are_explained_as_one_is(network: HistoryScorer, monkeypatch: pytest.MonkeyPatch) -> None:
    together = read_attributions(network, *asked(), "integrated_gradients")
    monkeypatch.setattr(explanation, "ROWS_TOGETHER", 7)  # three of sixteen steps at once, and one in the end
    torch.testing.assert_close(read_attributions(network, *asked(), "integrated_gradients"), together)


def test_too_few_steps_are_noticed(network: HistoryScorer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reader without a read has nothing to add up."""
    wanted = read_attributions(network, *asked(), "integrated_gradients")
    monkeypatch.setattr(explanation, "TOLERANCE", 1e-4)
    monkeypatch.setattr(explanation, "STEPS", (1,))
    with pytest.raises(ArithmeticError, match=r"do not add up: 2 of 3 are off by up to .* after 1 steps"):
        read_attributions(network, *asked(), "integrated_gradients")
    monkeypatch.setattr(explanation, "STEPS", (1, 64))
    torch.testing.assert_close(
        read_attributions(network, *asked(), "integrated_gradients"), wanted, atol=1e-2, rtol=1e-2
    )


def test_reads_enter_as_the_network_takes_them(network: HistoryScorer) -> None:
    state, _, _ = asked()
    reads = network.eval().article(state.history_index, state.history_content)
    torch.testing.assert_close(
        after_last_read(network.outputs(reads, state), state.history_mask), network.reader(state)
    )


def test_without_a_transformer_all_methods_are_the_product_of_vectors() -> None:
    """``output`` starts at zero: what is left is n^-alpha times the sum of the reads."""
    torch.manual_seed(0)
    network = HistoryScorer(NETWORK, ARTICLES)
    state, candidates, at = asked()
    vectors = network.article.content.weight.detach()
    by_hand = (state.history_content @ vectors.T @ vectors @ candidates.content[:, 2, :, None]).squeeze(-1)
    by_hand = by_hand * torch.tensor([[5**-0.5], [2**-0.5], [0.0]])
    for method in ("pooled", "rollout", "integrated_gradients"):
        found = read_attributions(network, state, candidates, at, method)
        torch.testing.assert_close(found, by_hand, atol=0.05, rtol=0.05)  # identities add a little


def test_left_out_reads_by_hand() -> None:
    """Of n reads worth x_j each, the sum over sqrt(n) less the same of the n - 1 others."""
    torch.manual_seed(0)
    network = HistoryScorer(NETWORK, ARTICLES)
    state, candidates, at = asked()
    products = read_attributions(network, state, candidates, at, "pooled") * torch.tensor([[5**0.5], [2**0.5], [0.0]])
    found = read_attributions(network, state, candidates, at, "leave_one_out")
    whole = products.sum(1, keepdim=True)
    wanted = whole / 5**0.5 - (whole - products) / 4**0.5
    torch.testing.assert_close(found[0], wanted[0], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(found[1, :2], (whole / 2**0.5 - (whole - products))[1, :2], atol=1e-5, rtol=1e-4)


def test_rolled_out_attention_shares_out_what_the_transformer_adds(network: HistoryScorer) -> None:
    """Shares by a loop over places; what flows from the start token is nobody's."""
    state, candidates, at = asked()
    found = read_attributions(network, state, candidates, at, "rollout")
    pooled = read_attributions(network, state, candidates, at, "pooled")
    with torch.no_grad():
        noticed = network.noticed(network.article(state.history_index, state.history_content), state)
        blocks = network.history.attention(noticed, state.history_age_hours)
        vectors = network.article(candidates.article_index, candidates.content)[:, 2]  # [B, W]
        outputs = network.output(network.history(noticed, state.history_age_hours, state.history_mask))
    for row, length in ((0, 5), (1, 2)):
        flow = np.eye(6)
        for block in blocks:
            attention = block[row].mean(0).numpy()
            flow = np.array([[0.5 * sum(attention[i, k] * flow[k, j] for k in range(6)) + 0.5 * flow[i, j]
                              for j in range(6)] for i in range(6)])  # fmt: skip
        assert flow[length].sum() == pytest.approx(1.0, abs=1e-5)
        part = float(outputs[row, length] @ vectors[row])
        shared = (found - pooled)[row, :length].numpy()
        np.testing.assert_allclose(shared, part * flow[length, 1 : length + 1], atol=1e-5)
        assert shared.sum() == pytest.approx(part * (1.0 - flow[length, 0]), abs=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_an_explanation_is_of_one_reader_and_one_article(method: str, network: HistoryScorer) -> None:
    state, candidates, at = asked()
    together = read_attributions(network, state, candidates, at, method)  # type: ignore[arg-type]
    for row in range(2):
        one = State(*(column[row : row + 1] for column in state))
        offered = Candidates(*(column[row : row + 1, 1:] for column in candidates))  # without the first candidate
        alone = read_attributions(network, one, offered, at[:1] - 1, method)  # type: ignore[arg-type]
        torch.testing.assert_close(together[row : row + 1], alone, atol=1e-4, rtol=1e-4)
    assert together[0].abs().min() > 0
    other = read_attributions(network, state, candidates, at - 1, method)  # type: ignore[arg-type]
    assert (together - other)[0].abs().max() > 1e-3


@pytest.mark.parametrize("method", METHODS)
def test_a_read_that_the_policy_does_not_look_at_drives_nothing(method: str) -> None:
    """What it looks at drives as much as if nothing else had been read."""
    torch.manual_seed(0)
    network = opinionated(HistoryScorer(replace(NETWORK, history=3), ARTICLES))
    state, candidates, at = asked()
    found = read_attributions(network, state, candidates, at, method)  # type: ignore[arg-type]
    assert found[0, :2].tolist() == [0.0, 0.0]
    assert found[0, 2:].abs().min() > 0
    if method != "leave_one_out":  # where one is left out, an older read takes its place
        alone = read_attributions(network, network.known(state), candidates, at, method)  # type: ignore[arg-type]
        torch.testing.assert_close(found[0, 2:], alone[0])
        torch.testing.assert_close(found[1, :3], alone[1])


@pytest.mark.parametrize("method", METHODS)
def test_a_read_like_the_article_drives_it_most(method: str) -> None:
    torch.manual_seed(0)
    network = HistoryScorer(NetworkConfig(width=32, layers=1, heads=1), ARTICLES)
    state, candidates, at = asked()
    content = state.history_content.clone()
    content[0, 3], content[1, 0] = candidates.content[0, 2], candidates.content[1, 2]
    found = read_attributions(network, state._replace(history_content=content), candidates, at, method)  # type: ignore[arg-type]
    assert found.argmax(1)[:2].tolist() == [3, 0]


def test_what_is_left_of_a_history_is_a_history() -> None:
    """Without the newest read, the one before it is the newest."""
    state, _, _ = asked()
    kept = torch.tensor([[True, False, True, True, False], [False] * 5, [True] * 5])
    left = only(state, kept)
    assert left.history_index.tolist() == [[1, 9, 11, 0, 0], [0] * 5, [0] * 5]
    assert left.history_age_hours.tolist() == [[3.0, 1.0, 0.0, 0.0, 0.0], [0.0] * 5, [0.0] * 5]
    assert left.history_dwell_seconds.tolist() == [[3.0, 90.0, 10.0, 0.0, 0.0], [0.0] * 5, [0.0] * 5]
    assert left.history_mask.sum(1).tolist() == [3, 0, 0]
    torch.testing.assert_close(left.history_content[0, :3], state.history_content[0, [0, 2, 3]])
    assert not left.history_content[0, 3:].any()
    for before, after in zip(state, only(state, torch.ones(3, 5).bool()), strict=True):
        assert torch.equal(before, after), "with all reads kept nothing changes"


def test_a_policy_without_a_network_over_reads_can_only_be_asked_again() -> None:
    torch.manual_seed(0)
    policy = MatrixFactorizationPolicy(FactorConfig(), ARTICLES)
    found = read_attributions(policy, *asked(), "leave_one_out")
    assert found[0].abs().min() > 0
    with pytest.raises(ValueError, match="MatrixFactorizationPolicy has no network over reads that rollout could"):
        read_attributions(policy, *asked(), "rollout")
    with pytest.raises(ValueError, match="method is 'magic', expected one of integrated_gradients"):
        read_attributions(SimpleNamespace(), *asked(), "magic")  # type: ignore[arg-type]
