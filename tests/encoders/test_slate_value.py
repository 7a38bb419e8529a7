"""The value of a slate by its articles: the sum by hand, the best slate against all slates, what a policy starts as."""

from itertools import combinations

import pytest
import torch

from newsrec.encoders.scorer import HistoryScorer, NetworkConfig
from newsrec.encoders.slate_value import BestSlateScorer, SlateValue, spread
from newsrec.features import EMBEDDING_DIM
from newsrec.slate import SlateConfig, draw
from newsrec.transitions import CONTEXT_DIM, Transitions
from tests.baselines.batches import batch

NETWORK = NetworkConfig(width=16, layers=1, heads=1, dropout=0.0)


def readers() -> Transitions:
    content = torch.randn(9, EMBEDDING_DIM, generator=torch.Generator().manual_seed(1))
    made = batch([[1, 2], [7]], [[3, 4, 5, 6, 7], [5, 6, 8, 1, 2]], [0, 1], content)
    mask = torch.tensor([[True] * 5, [True] * 4 + [False]])
    return made._replace(candidates=made.candidates._replace(mask=mask))


def untrained(click_weight: float = 1.0) -> BestSlateScorer:
    torch.manual_seed(0)
    return BestSlateScorer(NETWORK, 8, click_weight)


def test_starts_as_click_probability() -> None:
    policy, (state, candidates, *_) = untrained(), readers()
    torch.manual_seed(0)
    clicks = HistoryScorer(NETWORK, 8).scores(state, candidates).sigmoid()
    expected = clicks.masked_fill(~candidates.mask, -torch.inf)
    torch.testing.assert_close(policy.scores(state, candidates), expected)
    assert not untrained(0.0).scores(state, candidates)[candidates.mask].any(), "clicks are worth nothing here"


def test_serves_the_best_of_all_slates() -> None:
    policy, (state, candidates, *_) = untrained(), readers()
    with torch.no_grad():
        for parameter in (*policy.value.parameters(), *policy.click_level.parameters()):
            parameter.add_(torch.randn(parameter.shape) / 2)
        policy.spread.fill_(0.2)
        reader = policy.reader(state)
        probability = policy.click_logits(reader, state.context, candidates).sigmoid()
        unread, worth = policy.values(policy.value, reader, state.context, candidates)
        chosen = draw(policy.scores(state, candidates), 2, SlateConfig("greedy")).chosen
    assert (worth[candidates.mask] < 0).any()
    assert (worth[candidates.mask] > 0).any()
    for row in range(2):
        values = {
            pair: unread[row] + sum(probability[row, a] * worth[row, a] for a in pair)
            for pair in combinations(range(5 - row), 2)
        }
        assert set(chosen[row].tolist()) == set(max(values, key=values.__getitem__))


def test_the_worth_of_a_read_is_that_of_the_heads_and_its_gradient_reaches_the_reader() -> None:
    policy, (state, candidates, *_) = untrained(), readers()
    with torch.no_grad():
        for parameter in policy.value.parameters():
            parameter.add_(torch.randn(parameter.shape) / 2)
    reader = policy.reader(state)
    worth = policy.worth(reader, state.context, candidates)
    assert torch.equal(worth, policy.values(policy.value, reader, state.context, candidates)[1])
    (gradient,) = torch.autograd.grad(worth.sum(), reader)
    assert gradient.any()


def test_level_and_worth_add_up_by_hand() -> None:
    heads = SlateValue(16, 1.0)
    heads.start(torch.tensor([1.0, 3.0]), torch.tensor([0.5, 0.7]))
    with torch.no_grad():
        heads.unread.out.bias.fill_(0.5)
        heads.read.demand.weight[0, -1] = 2.0  # freshness is 1 at age 0
    candidates = readers().candidates
    q, worth = heads(torch.zeros(2, 16), torch.zeros(2, CONTEXT_DIM), torch.zeros(2, 5, 16), candidates)
    assert q.tolist() == pytest.approx([2.0 / 0.4 + 0.5] * 2)
    assert torch.equal(worth, 3.0 * candidates.mask)
    endless = SlateValue(16, 1.0)
    endless.start(torch.tensor([2.0]), torch.tensor([1.0]))
    assert endless.level.item() == pytest.approx(200.0), "a day without a break is no endless one"


def test_following_ends_at_the_one_followed() -> None:
    lagging, online = SlateValue(16, 1.0), SlateValue(16, 1.0)
    online.start(torch.tensor([2.0]), torch.tensor([0.5]))
    lagging.follow(online, 0.25)
    assert lagging.level.item() == pytest.approx(1.0)
    lagging.follow(online, 1.0)
    assert all(torch.equal(own, online.state_dict()[name]) for name, own in lagging.state_dict().items())


def test_the_spread_is_between_the_candidates_of_a_request() -> None:
    added = torch.tensor([[1.0, 3.0, 99.0], [11.0, 13.0, 12.0]])
    mask = torch.tensor([[True, True, False], [True, True, True]])
    assert spread(added, mask).item() == pytest.approx(((1 + 1 + 1 + 1 + 0) / 5) ** 0.5)
    policy = untrained()
    policy.observe_spread(added, mask)
    assert policy.spread.item() == pytest.approx(0.8**0.5), "the first batch sets it"
    policy.observe_spread(3.0 * added, mask)
    assert policy.spread.item() == pytest.approx((0.95 + 0.05 * 3.0) * 0.8**0.5), "the others move it"
    assert spread(added, mask & False).item() == pytest.approx(1e-6)


def test_a_warm_level_stays() -> None:
    heads = SlateValue(16, 1.0)
    heads.level.fill_(5.0)
    heads.start(torch.tensor([2.0]), torch.tensor([0.5]))
    assert heads.level.item() == 5.0
