"""What every registered policy must do: the protocol, invariance, new articles, a checkerboard with a known answer."""

import copy
import functools
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
import torch

from newsrec import dataset
from newsrec.artifact import Artifact
from newsrec.decisions import Decisions
from newsrec.encoders.article import MOST_SHOWN, demand_features
from newsrec.encoders.history import latest
from newsrec.encoders.scorer import HistoryScorer, NetworkConfig
from newsrec.policy import Policy
from newsrec.registry import REGISTRY
from newsrec.transitions import Candidates, State, Transitions, empty_state
from tests import checkerboard

PERSONAL = [name for name in REGISTRY if name != "popularity"]
every_policy = pytest.mark.parametrize("name", REGISTRY)
every_personal_policy = pytest.mark.parametrize("name", PERSONAL)


@functools.cache
def decisions() -> Decisions:
    return dataset.from_log(checkerboard.log(decisions=200, content=True))


@functools.cache
def learnt(name: str) -> Any:
    """A policy after ten steps: its weights are not the initial ones, which may hide a dependence."""
    torch.manual_seed(0)
    entry = REGISTRY[name]
    policy = entry.policy(entry.config(), decisions().catalogue.trained)
    learner = entry.learner(policy, torch.Generator().manual_seed(0))
    for _ in range(10):
        learner.update(decisions().batch(np.arange(100), successors=True))
    return policy.eval()


def batch() -> Transitions:
    """Eight decisions: readers with and without a history, padding in both, a fifth of the candidates new."""
    found = decisions().batch(np.array([0, 1, 2, 30, 60, 100, 150, 199]), successors=True)
    new = torch.arange(found.candidates.mask.numel()).reshape(found.candidates.mask.shape) % 5 == 0
    mask = found.candidates.mask.clone()
    mask[3, 4:] = False
    candidates = found.candidates._replace(article_index=found.candidates.article_index.masked_fill(new, 0), mask=mask)
    assert not found.state.history_mask[0].any()
    assert found.state.history_mask[-1].any()
    return found._replace(candidates=candidates)


def scores(policy: Any, state: State, candidates: Candidates) -> torch.Tensor:
    with torch.inference_mode():
        return policy.scores(state, candidates)


@every_policy
def test_speaks_the_protocol(name: str) -> None:
    policy, (state, candidates, *_) = learnt(name), batch()
    found = scores(policy, state, candidates)
    assert isinstance(policy, Policy)
    assert found.dtype == torch.float32
    assert found.shape == candidates.mask.shape
    assert torch.equal(found == -torch.inf, ~candidates.mask)
    assert found[candidates.mask].isfinite().all()


@every_policy
def test_permuted_candidates_have_permuted_scores(name: str) -> None:
    policy, (state, candidates, *_) = learnt(name), batch()
    order = torch.randperm(candidates.mask.shape[1], generator=torch.Generator().manual_seed(1))
    permuted = scores(policy, state, Candidates(*(column[:, order] for column in candidates)))
    torch.testing.assert_close(permuted, scores(policy, state, candidates)[:, order], atol=1e-5, rtol=0)


@every_policy
def test_a_row_of_a_batch_equals_a_single_call_without_padding(name: str) -> None:
    policy, (state, candidates, *_) = learnt(name), batch()
    together = scores(policy, state, candidates)
    for row, (reads, articles) in enumerate(zip(state.history_mask.sum(1), candidates.mask.sum(1), strict=True)):
        *history, context = (column[row : row + 1] for column in state)
        alone = State(*(column[:, : max(1, reads)] for column in history), context)
        offered = Candidates(*(column[row : row + 1, :articles] for column in candidates))
        expected = together[row : row + 1, :articles]
        torch.testing.assert_close(scores(policy, alone, offered), expected, atol=1e-5, rtol=0)


@every_policy
def test_padding_never_matters(name: str) -> None:
    policy, (state, candidates, *_) = learnt(name), batch()
    past, absent = ~state.history_mask, ~candidates.mask
    dirty_state = state._replace(
        history_index=state.history_index.masked_fill(past, 7),
        history_content=state.history_content.masked_fill(past[..., None], 1e3),
        history_age_hours=state.history_age_hours.masked_fill(past, 1e3),
        history_dwell_seconds=state.history_dwell_seconds.masked_fill(past, 1e3),
    )
    dirty_candidates = candidates._replace(
        article_index=candidates.article_index.masked_fill(absent, 7),
        content=candidates.content.masked_fill(absent[..., None], 1e3),
    )
    dirty = scores(policy, dirty_state, dirty_candidates)
    torch.testing.assert_close(dirty, scores(policy, state, candidates), atol=1e-5, rtol=0)


@every_policy
def test_nothing_known_is_no_nan(name: str) -> None:
    policy, candidates = learnt(name), batch().candidates
    zeros = candidates._replace(
        content=torch.zeros_like(candidates.content),
        article_index=torch.zeros_like(candidates.article_index),
        age_hours=torch.zeros_like(candidates.age_hours),
        popularity=torch.zeros_like(candidates.popularity),
    )
    assert scores(policy, empty_state(8), zeros)[candidates.mask].isfinite().all()
    none = candidates._replace(mask=torch.zeros_like(candidates.mask))
    assert (scores(policy, empty_state(8), none) == -torch.inf).all()


@every_policy
def test_a_batch_without_a_click_or_a_slate_leaves_weights_finite(name: str) -> None:
    entry = REGISTRY[name]
    torch.manual_seed(0)
    policy = entry.policy(entry.config(), decisions().catalogue.trained)
    nothing = batch()
    nothing = nothing._replace(
        feedback=torch.zeros_like(nothing.feedback), slate_mask=torch.zeros_like(nothing.slate_mask)
    )
    losses = entry.learner(policy, torch.Generator().manual_seed(0)).update(nothing)
    assert all(np.isfinite(loss) for loss in losses.values())
    assert all(parameter.isfinite().all() for parameter in policy.parameters())


@every_policy
def test_forms_make_the_scores(name: str) -> None:
    """What a catalogue is searched by is what its articles are scored by; only re-ranking comes after it."""
    policy, (state, candidates, *_) = copy.deepcopy(learnt(name)), batch()
    with torch.no_grad():  # no head stays near the zeros that it starts from
        for i, parameter in enumerate(policy.parameters()):
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(i)))
    if name == "diverse":
        policy.config = replace(policy.config, diversity=0.0)
    candidates = candidates._replace(shown=torch.arange(candidates.mask.numel()).reshape(candidates.mask.shape) % 11.0)
    with torch.inference_mode():
        reader = policy.reader(state)
        forms = policy.forms(reader, state.context)
        vectors = reader.new_zeros(*candidates.mask.shape, 0)
        if reader.shape[1]:
            vectors = policy.article(candidates.article_index, candidates.content)  # [B, C, W]
        values = vectors @ forms.article + demand_features(candidates) @ forms.demand + forms.level[:, None]
        values += candidates.shown.clamp(max=MOST_SHOWN)[..., None] * forms.shown[:, None]  # [B, C, F]
        found = policy.combined(values)
    expected = scores(policy, state, candidates)
    assert expected[candidates.mask].std() > 0.01
    torch.testing.assert_close(found[candidates.mask], expected[candidates.mask], atol=1e-4, rtol=1e-4)


@every_policy
def test_the_same_seed_gives_the_same_weights(name: str) -> None:
    first, second = learnt(name).state_dict(), learnt.__wrapped__(name).state_dict()
    assert all(torch.equal(first[key], second[key]) for key in second)


@every_policy
def test_gradients_do_not_pile_up_from_step_to_step(name: str) -> None:
    entry, generator = REGISTRY[name], torch.Generator()
    rates = {field.name: 1e-30 for field in fields(entry.config) if field.name.endswith("learning_rate")}
    policy = entry.policy(entry.config(**rates), decisions().catalogue.trained)
    learner = entry.learner(policy, generator)
    learner.update(decisions().batch(np.arange(100), successors=True))
    before = copy.deepcopy(policy.state_dict())  # running scales move with each batch
    found: list[Any] = []
    for rows in (range(100, 200), range(100), range(100, 200)):
        policy.load_state_dict(before)
        generator.manual_seed(0)
        torch.manual_seed(0)
        learner.update(decisions().batch(np.array(rows), successors=True))
        found.append([parameter.grad.clone() for parameter in policy.parameters() if parameter.grad is not None])
    assert any(gradient.any() for gradient in found[0])
    for first, again in zip(found[0], found[2], strict=True):
        torch.testing.assert_close(first, again, atol=1e-7, rtol=1e-5)


def test_popularity_solves_the_checkerboard_of_even_and_odd_days() -> None:
    log = checkerboard.log(decisions=3600, articles=12, daily=True)
    found, decided, test = checkerboard.solve("popularity", dataset.from_log(log))
    after_two_hours = test[(decided.time[test] - checkerboard.START) // 3_600_000_000 % 24 >= 2]
    assert len(after_two_hours) > 500
    assert checkerboard.accuracy(found, decided, after_two_hours) >= 0.95


def dwell_seconds(name: str) -> float:
    """All reads last as long as each other: who learns from dwell has nothing else to rank by, either."""
    return 30.0 if taught_by_minutes(name) else 0.0


@functools.cache
def interleaved(dwell_seconds: float = 0.0) -> Decisions:
    return dataset.from_log(checkerboard.log(dwell_seconds=dwell_seconds))


@functools.cache
def with_new_articles(dwell_seconds: float = 0.0) -> Decisions:
    return dataset.from_log(checkerboard.log(content=True, replaced_at=0.75, dwell_seconds=dwell_seconds))


@functools.cache
def solved_by_content(name: str) -> tuple[Artifact, Decisions, np.ndarray]:
    """Content shows the parity to all of them within two epochs."""
    return checkerboard.solve(name, with_new_articles(dwell_seconds(name)), epochs=2)


def taught_by_minutes(name: str) -> bool:
    return REGISTRY[name].label == "dwell"


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if taught_by_minutes(name) else ()) for name in PERSONAL]
)
def test_solves_the_checkerboard_by_identity_where_articles_have_no_content(name: str) -> None:
    """Clicks tell all of them the parity within five epochs; minutes say the same of each read, and take longer."""
    epochs = 12 if taught_by_minutes(name) else 5
    assert checkerboard.accuracy(*checkerboard.solve(name, interleaved(dwell_seconds(name)), epochs)) >= 0.95


@every_personal_policy
def test_solves_the_checkerboard_by_content_on_articles_newer_than_the_artefact(name: str) -> None:
    found, decided, test = solved_by_content(name)
    assert not decided.batch(test).candidates.article_index.any(), "every candidate is unknown by index"
    assert checkerboard.accuracy(found, decided, test) >= 0.95


def test_popularity_cannot_solve_the_personal_checkerboards() -> None:
    for board in (interleaved(), with_new_articles()):
        assert 0.4 < checkerboard.accuracy(*checkerboard.solve("popularity", board)) < 0.6


@every_personal_policy
def test_a_new_article_like_those_read_outscores_its_opposite(name: str) -> None:
    found, decided, test = solved_by_content(name)
    state = decided.batch(test[-1:]).state
    read = torch.nn.functional.normalize((state.history_content * state.history_mask[..., None]).sum(1))  # [1, E]
    content = torch.stack([read, -read], 1)  # [1, 2, E]
    zeros = torch.zeros(1, 2)
    new = Candidates(zeros.long(), content, zeros, torch.zeros(1, 2, 4), zeros, zeros.bool() | True)
    like, opposite = scores(found.policy, state, new)[0]
    assert like > opposite + 0.5


@pytest.mark.parametrize("name", [name for name, entry in REGISTRY.items() if issubclass(entry.policy, HistoryScorer)])
def test_a_policy_of_the_latest_reads_learns_and_scores_as_if_there_were_no_others(name: str) -> None:
    entry, full = REGISTRY[name], decisions().batch(np.arange(100, 200), successors=True)
    assert full.next_state is not None
    assert (full.state.history_mask.sum(1) > 3).any()
    short = full._replace(state=latest(full.state, 3), next_state=latest(full.next_state, 3))
    small = {"history": 3} if name in ("transformer", "sasrec") else {"network": NetworkConfig(history=3)}
    found = []
    for config, given in ((entry.config(**small), full), (entry.config(), short), (entry.config(), full)):
        torch.manual_seed(0)
        policy: Any = entry.policy(config, decisions().catalogue.trained)
        losses = entry.learner(policy, torch.Generator().manual_seed(0)).update(given)
        found.append((losses["loss"], scores(policy.eval(), given.state, given.candidates)))
    assert found[0][0] == found[1][0] != found[2][0]
    assert torch.equal(found[0][1], found[1][1])
    assert not torch.equal(found[0][1], found[2][1])
