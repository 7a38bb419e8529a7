"""Labels: what each learns on a log where they disagree, and their losses by hand."""

import math
from typing import Any

import pytest
import torch

from newsrec.baselines import supervised, transformer
from newsrec.baselines.supervised import (
    DwellConfig,
    DwellLearner,
    ReturnConfig,
    ReturnLearner,
    SupervisedLearner,
    SupervisedPolicy,
)
from newsrec.events import KINDS
from newsrec.transitions import Transitions
from tests.baselines import three_groups
from tests.baselines.batches import batch, no_content
from tests.baselines.three_groups import BAIT, COLUMN, ESSAY, SMALL

CLICK, DWELL = KINDS.index("click"), KINDS.index("dwell")


def learner(config: Any, kind: type[SupervisedLearner], articles: int = three_groups.ARTICLES) -> Any:
    torch.manual_seed(0)
    return kind(SupervisedPolicy(config, articles), torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def by_dwell() -> Any:
    config = DwellConfig(SMALL, value_learning_rate=0.003, forget_rate=1.0)
    return three_groups.learnt(learner(config, DwellLearner), steps=200)


@pytest.fixture(scope="module")
def by_return() -> Any:
    config = ReturnConfig(SMALL, value_learning_rate=0.003, forget_rate=1.0, read_hazard=0.3)
    return three_groups.learnt(learner(config, ReturnLearner), steps=200)


def worth(policy: SupervisedPolicy) -> list[float]:
    """[group] w of new articles."""
    state, candidates = three_groups.question()
    with torch.inference_mode():
        _, found = policy.values(policy.value, policy.reader(state), state.context, candidates)
    return found[0].reshape(3, 2).mean(1).tolist()


def test_clicks_dwell_and_returns_each_put_another_group_first(by_dwell: Any, by_return: Any) -> None:
    torch.manual_seed(0)
    config = transformer.Config(layers=1, heads=1, dropout=0.0, learning_rate=0.004)
    policy = transformer.TransformerPolicy(config, three_groups.ARTICLES)
    by_click = three_groups.learnt(transformer.TransformerLearner(policy, torch.Generator().manual_seed(0)), steps=60)
    assert three_groups.ranking(by_click)[0] == BAIT
    assert three_groups.ranking(by_dwell) == [ESSAY, COLUMN, BAIT]
    assert three_groups.ranking(by_return) == [COLUMN, ESSAY, BAIT]


def test_the_worth_of_a_read_is_its_minutes(by_dwell: Any) -> None:
    assert worth(by_dwell) == pytest.approx((three_groups.SECONDS / 60).tolist(), abs=0.5)


def test_the_worth_of_a_read_is_what_it_does_to_the_hazard_of_the_next_visit(by_return: Any) -> None:
    hazard = [by_return.config.read_hazard * w for w in worth(by_return)]
    assert hazard == pytest.approx([math.log(ratio) for ratio in three_groups.RATIO], abs=0.35)


def test_click_probabilities_are_calibrated(by_dwell: Any, by_return: Any) -> None:
    state, candidates = three_groups.question()
    for policy in (by_dwell, by_return):
        with torch.inference_mode():
            chance = policy.click_logits(policy.reader(state), state.context, candidates).sigmoid()[0]
        assert chance.reshape(3, 2).mean(1).tolist() == pytest.approx(three_groups.CLICK.tolist(), abs=0.1)


def test_the_score_is_the_chance_of_a_click_times_its_worth_in_its_spread(by_dwell: Any) -> None:
    state, candidates = three_groups.question()
    with torch.inference_mode():
        chance = by_dwell.click_logits(by_dwell.reader(state), state.context, candidates).sigmoid()[0]
        _, minutes = by_dwell.values(by_dwell.value, by_dwell.reader(state), state.context, candidates)
        found = by_dwell.scores(state, candidates)[0]
    torch.testing.assert_close(found * by_dwell.spread, chance * minutes[0])
    in_log = three_groups.log(200)
    with torch.inference_mode():
        assert by_dwell.scores(in_log.state, in_log.candidates).std(1, correction=0).mean().item() == pytest.approx(
            1.0, abs=0.3
        )


def two_slates() -> Transitions:
    """The first reader reads both articles, for 30 seconds and 20 minutes; of the second's read no dwell is known."""
    made = batch([[], []], [[1, 2], [3, 4]], [0, 1], no_content(4))
    feedback = torch.zeros(2, 2, len(KINDS))
    feedback[0, :, CLICK], feedback[1, 1, CLICK] = 1.0, 1.0
    feedback[0, :, DWELL] = torch.tensor([30.0, 1200.0])
    feedback[1, 0, DWELL] = 99.0  # of an article that was not clicked: nobody's read
    return made._replace(feedback=feedback, returned=torch.tensor([1.0, 0.0]), expected=torch.tensor([0.25, 0.5]))


def test_the_first_losses_by_hand() -> None:
    """w starts as 1 and q as 0."""
    dwell = learner(DwellConfig(SMALL, dwell_cap_seconds=240.0), DwellLearner, 4).update(two_slates())
    assert dwell["label"] == pytest.approx(((1.0 - 0.5) ** 2 + (1.0 - 4.0) ** 2) / 2)
    f = [2 * 0.1, 0.1]
    wanted = (0.25 * math.exp(f[0]) - f[0] + 0.5 * math.exp(f[1])) / 2
    comes_back = learner(ReturnConfig(SMALL, read_hazard=0.1), ReturnLearner, 4).update(two_slates())
    assert comes_back["label"] == pytest.approx(wanted)
    for losses in (dwell, comes_back):
        assert losses["worth"] == pytest.approx(1.0)
        assert losses["loss"] == pytest.approx(losses["clicks"] + 0.1 * losses["next_read"] + losses["label"])


def test_who_comes_often_is_not_what_they_read() -> None:
    """Fans of bait come back more than habit says whatever they read: that is the reader's, not the article's."""
    rows, generator = 256, torch.Generator().manual_seed(1)
    fan = torch.arange(rows) % 2 == 0
    vectors = torch.cat([torch.zeros(1, three_groups.content().shape[1]), three_groups.content()])
    bait, essay = 1, 1 + three_groups.ARTICLES // 3
    history = [[bait] if f else [essay] for f in fan.tolist()]
    made = batch(history, [[bait + 1, essay + 1]] * rows, [0] * rows, vectors)
    likely = torch.where(fan[:, None], torch.tensor([0.8, 0.2]), torch.tensor([0.2, 0.8]))
    feedback = torch.zeros(rows, 2, len(KINDS))
    feedback[..., CLICK] = (torch.rand(rows, 2, generator=generator) < likely).float()
    ratio = torch.where(fan, 1.8, 0.4)
    everything = made._replace(feedback=feedback, returned=0.5 * ratio, expected=torch.full((rows,), 0.5))
    found = learner(ReturnConfig(SMALL, learning_rate=0.01, forget_rate=1.0), ReturnLearner)
    for _ in range(80):
        found.update(everything)
    policy = found.policy.eval()
    with torch.inference_mode():
        unread, w = policy.values(policy.value, policy.reader(made.state), made.state.context, made.candidates)
    assert (unread[fan].mean() - unread[~fan].mean()).item() == pytest.approx(math.log(1.8 / 0.4), abs=0.4)
    assert abs(policy.config.read_hazard * (w[:, 0] - w[:, 1]).mean()).item() < 0.15


def test_labels_do_not_move_the_vectors_of_the_click_model() -> None:
    made = two_slates()
    other = made._replace(returned=1.0 - made.returned, expected=made.expected * 3.0)
    first, second = (learner(ReturnConfig(SMALL), ReturnLearner, 4) for _ in range(2))
    for found, seen in ((first, made), (second, other)):
        found.update(seen)
        found.update(seen)
    ours, theirs = first.policy.state_dict(), second.policy.state_dict()
    moved = {name for name in ours if not torch.equal(ours[name], theirs[name])}
    assert moved
    assert all(name.startswith("value.") or name == "spread" for name in moved)


@pytest.mark.parametrize(
    ("config", "wrong", "message"),
    [
        (DwellConfig, {"dwell_cap_seconds": 0.0}, "dwell_cap_seconds is 0.0, expected more than 0"),
        (ReturnConfig, {"read_hazard": -0.1}, "read_hazard is -0.1, expected more than 0"),
        (supervised.Config, {"negatives": 0}, "negatives is 0, expected 1 or more"),
        (DwellConfig, {"learning_rate": 0.0}, "learning_rate is 0.0, expected more than 0"),
        (ReturnConfig, {"forget_rate": 1.5}, r"forget_rate is 1.5, expected a share in \[0, 1\]"),
    ],
)
def test_refuses_impossible_configurations(config: type, wrong: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        config(**wrong)
