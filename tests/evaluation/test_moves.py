"""Values of a policy by hand: what moves an article, what moves none, and how sure several trainings are."""

import numpy as np
import pytest
import torch

from newsrec.encoders.article import DEMAND_FEATURES
from newsrec.encoders.scorer import NetworkConfig
from newsrec.encoders.slate_value import BestSlateScorer
from newsrec.evaluation.moves import Asked, moves, ranks
from newsrec.features import EMBEDDING_DIM
from newsrec.transitions import Candidates, State
from tests.baselines.batches import batch

NETWORK = NetworkConfig(width=8, layers=1, heads=1, dropout=0.5)


def request() -> tuple[State, Candidates]:
    """One reader and three articles, of which the first is an hour old and the last is none."""
    content = torch.randn(9, EMBEDDING_DIM, generator=torch.Generator().manual_seed(1))
    made = batch([[1, 2]], [[3, 4, 5]], [0], content)
    age = torch.tensor([[1.0, 0.0, 0.0]])
    return made.state, made.candidates._replace(age_hours=age, mask=torch.tensor([[True, True, False]]))


def policy(old: float, level: float = 0.0) -> BestSlateScorer:
    """Clicks are even odds; a read is worth 1 + ``level``, and ``old`` more for each log hour of age."""
    made = BestSlateScorer(NETWORK, 8, 1.0)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.zero_()
        made.value.read.demand.weight[0, DEMAND_FEATURES.index("log_age")] = old
        made.value.read.level.out.bias.fill_(level)
    return made


def test_values_by_hand() -> None:
    worth = 1.0 + 0.5 * np.log(2.0)
    found = moves([Asked(policy(0.5), *request())])
    mean = (worth + 1.0) / 2
    np.testing.assert_allclose(found.click_value[0], [0.5 * mean, 0.5 * mean, np.nan], rtol=1e-6)
    np.testing.assert_allclose(found.long_term_value[0], [0.5 * worth, 0.5, np.nan], rtol=1e-6)
    np.testing.assert_allclose(found.difference[0, :2], [0.5 * (worth - mean), 0.5 * (1.0 - mean)], rtol=1e-5)
    assert np.nansum(found.difference) == pytest.approx(0.0, abs=1e-7)
    assert np.isnan(found.low).all()
    assert np.isnan(found.high).all()
    assert found.policy_rank.tolist() == [[1, 2, 0]]
    assert moves([Asked(policy(-0.5), *request())]).policy_rank.tolist() == [[2, 1, 0]]
    assert found.click_rank.tolist() == [[1, 2, 0]]


def test_what_all_reads_are_worth_moves_none() -> None:
    low, high = (moves([Asked(policy(0.0, level), *request())]) for level in (0.0, 3.0))
    np.testing.assert_allclose(high.difference[0, :2], [0.0, 0.0], atol=1e-7)
    np.testing.assert_allclose(high.click_value[0, :2], 4.0 * low.click_value[0, :2])
    assert high.policy_rank.tolist() == high.click_rank.tolist()


def test_several_trainings_bound_the_difference() -> None:
    """Student's 12.706 with one degree of freedom; levels, which move nobody, do not widen it."""
    found = moves([Asked(policy(old, level), *request()) for old, level in ((0.2, 0.0), (0.6, 5.0))])
    alone = [moves([Asked(policy(old), *request())]).difference[0, 0] for old in (0.2, 0.6)]
    assert found.policies == 2
    assert found.difference[0, 0] == pytest.approx(np.mean(alone))
    away = 12.7062 * np.std(alone, ddof=1) / 2**0.5
    assert found.low[0, 0] == pytest.approx(np.mean(alone) - away, rel=1e-4)
    assert found.high[0, 0] == pytest.approx(np.mean(alone) + away, rel=1e-4)


def test_ranks_leave_out_what_cannot_be_served() -> None:
    assert ranks(torch.tensor([[0.1, -torch.inf, 0.3], [2.0, 1.0, 0.0]])).tolist() == [[2, 0, 1], [1, 2, 3]]
