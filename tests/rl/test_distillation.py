"""Distillation: losses by hand, a frozen teacher that knows every article, a student that forgets some."""

import math
from typing import Any

import pytest
import torch

from newsrec.encoders.scorer import HistoryScorer, NetworkConfig
from newsrec.rl.distillation import Config, DistillationLearner
from newsrec.transitions import Candidates, State, Transitions
from tests.baselines.batches import batch, no_content


class Teacher:
    """Knows the articles by their index: article i has the i-th of ``known``."""

    config = None

    def __init__(self, known: list[float]) -> None:
        self.known = torch.tensor(known, requires_grad=True)

    def scores(self, state: State, candidates: Candidates) -> torch.Tensor:
        return self.known[candidates.article_index].masked_fill(~candidates.mask, -torch.inf)


def student(articles: int, width: int = 8) -> HistoryScorer:
    torch.manual_seed(0)
    return HistoryScorer(NetworkConfig(width=width, layers=1, heads=1, dropout=0.0), articles)


def flat(articles: int) -> HistoryScorer:
    policy = student(articles)
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter.zero_()
    return policy


def learner(policy: HistoryScorer, teacher: Teacher, **config: Any) -> DistillationLearner:
    return DistillationLearner(policy, teacher, Config(**({"forget_rate": 0.0} | config)), torch.Generator())


def three_of_four() -> Transitions:
    """One reader, articles 1 to 3 and padding as candidates, 3 and 1 shown, 1 clicked."""
    made = batch([[]], [[1, 2, 3, 4]], [1], no_content(4))
    mask = torch.tensor([[True, True, True, False]])
    slate, shown = torch.tensor([[2, 0]]), torch.tensor([[True, True]])
    candidates = made.candidates._replace(mask=mask)
    return made._replace(candidates=candidates, slate=slate, slate_mask=shown, feedback=made.feedback[:, :2])


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_a_student_that_knows_nothing_is_as_far_off_as_the_uniform(temperature: float) -> None:
    """Teacher 1/2, 1/4, 1/4 at its temperature; the clicked article is one of two equal shown."""
    half = temperature * math.log(2)
    teacher = Teacher([0.0, half, 0.0, 0.0, 50.0])
    losses = learner(flat(4), teacher, temperature=temperature, click_weight=0.5).update(three_of_four())
    distance = temperature**2 * (math.log(3) - 1.5 * math.log(2))
    expected = {"teacher": distance, "clicks": math.log(2), "loss": distance + 0.5 * math.log(2)}
    assert losses == pytest.approx(expected, rel=1e-5)


def test_the_teacher_is_frozen() -> None:
    teacher = Teacher([0.0, 1.0, 2.0, 3.0, 4.0])
    learner(student(4), teacher).update(three_of_four())
    assert teacher.known.grad is None
    assert teacher.known.tolist() == [0.0, 1.0, 2.0, 3.0, 4.0]


@pytest.mark.parametrize(("click_weight", "best"), [(0.0, 3), (30.0, 1)])
def test_clicks_count_as_much_as_they_are_told_to(click_weight: float, best: int) -> None:
    policy, teacher = student(4), Teacher([0.0, 0.0, 0.0, 1.0, 0.0])
    learning = learner(policy, teacher, click_weight=click_weight, learning_rate=0.05)
    made = three_of_four()
    made = made._replace(state=made.state._replace(context=torch.ones_like(made.state.context)))
    for _ in range(60):
        learning.update(made)
    assert policy.eval().scores(made.state, made.candidates)[0].argmax() + 1 == best


@pytest.mark.parametrize("rate", [0.0, 1.0])
def test_the_student_forgets_articles_and_the_teacher_does_not(rate: float) -> None:
    """A forgotten identity is not trained; a teacher that forgot would find all articles equal."""
    policy = student(4)
    before = policy.article.identity.weight.detach().clone()
    made = three_of_four()
    made = made._replace(state=made.state._replace(context=torch.ones_like(made.state.context)))
    learning = learner(policy, Teacher([0.0, 3.0, 0.0, 0.0, 0.0]), forget_rate=rate, weight_decay=0.0)
    losses = [learning.update(made)["teacher"] for _ in range(3)]
    assert losses[0] > 0.3
    assert torch.equal(policy.article.identity.weight, before) is (rate == 1.0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"temperature": 0.0}, "temperature is 0.0, expected more than 0"),
        ({"learning_rate": 0.0}, "learning_rate is 0.0, expected more than 0"),
        ({"click_weight": -1.0}, "click_weight is -1.0, expected 0 or more"),
        ({"forget_rate": 1.5}, r"forget_rate is 1.5, expected a share in \[0, 1\]"),
    ],
)
def test_impossible_settings_are_refused(change: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Config(**change)
