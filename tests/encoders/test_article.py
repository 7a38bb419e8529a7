import math

import pytest
import torch

from newsrec.encoders.article import CONTENT_GAIN, ArticleEncoder, Demand, Fatigue, demand_features, forget
from newsrec.features import EMBEDDING_DIM
from newsrec.transitions import Candidates, empty_state


def offers(
    index: torch.Tensor, age: float = 0.0, popularity: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0), shown: float = 0.0
) -> Candidates:
    shape = index.shape
    content, counts = torch.zeros(*shape, EMBEDDING_DIM), torch.tensor(popularity).expand(*shape, 4)
    return Candidates(
        index, content, torch.full(shape, age), counts, torch.full(shape, shown), torch.ones(shape).bool()
    )


def test_inner_products_start_as_content_similarity() -> None:
    torch.manual_seed(0)
    content = torch.nn.functional.normalize(torch.randn(5, EMBEDDING_DIM))
    vectors = ArticleEncoder(9, EMBEDDING_DIM)(torch.zeros(5).long(), content)
    torch.testing.assert_close(vectors @ vectors.T, CONTENT_GAIN**2 * content @ content.T, atol=1e-5, rtol=0)


def test_the_unknown_article_has_its_content_alone_even_after_a_step() -> None:
    encoder = ArticleEncoder(3, 8)
    index, content = torch.tensor([0, 1]), torch.randn(2, EMBEDDING_DIM)
    (encoder(index, content) ** 2).sum().backward()
    torch.optim.AdamW(encoder.parameters(), 0.1).step()
    found = encoder(index, content)
    torch.testing.assert_close(found[0], encoder.content(content[0]))
    assert not torch.allclose(found[1], encoder.content(content[1]), atol=0.05)


def test_forgets_the_same_articles_everywhere_and_nothing_else() -> None:
    index = torch.arange(1, 1001).reshape(1, -1)
    state = empty_state(1)._replace(history_index=index, history_content=torch.ones(1, 1000, EMBEDDING_DIM))
    generator = torch.Generator().manual_seed(0)
    forgotten, candidates = forget(state, offers(index.flip(1)), 0.3, 1000, generator)
    lost = forgotten.history_index == 0
    assert 0.25 < lost.float().mean() < 0.35
    assert torch.equal(forgotten.history_index[~lost], index[~lost])
    assert torch.equal(candidates.article_index.flip(1), forgotten.history_index)
    assert forgotten.history_content is state.history_content


@pytest.mark.parametrize(("rate", "left"), [(0.0, 50), (1.0, 0)])
def test_forgets_nothing_or_everything(rate: float, left: int) -> None:
    index = torch.arange(1, 51).reshape(1, -1)
    _, found = forget(empty_state(1), offers(index), rate, 50, torch.Generator().manual_seed(0))
    assert (found.article_index > 0).sum() == left


def test_demand_by_hand() -> None:
    found = demand_features(offers(torch.zeros(1, 1).long(), age=24.0, popularity=(0.5, 2.0, 0.11, 0.7)))[0, 0]
    assert found.tolist() == pytest.approx([0.5, 2.0, math.log(2.0), 0.7, math.log(25.0), 0.5])
    score = Demand()(offers(torch.zeros(1, 1).long(), age=24.0, popularity=(0.5, 2.0, 0.11, 0.7)))
    assert score.item() == pytest.approx(0.3 * 0.5 + 0.3 * 2.0 + math.log(2.0) + 0.5 * 0.5)


def test_fatigue_takes_off_as_much_each_time_up_to_eight_times() -> None:
    found = [Fatigue()(offers(torch.ones(1, 1).long(), shown=times)).item() for times in (0.0, 1.0, 3.0, 8.0, 60.0)]
    assert found == pytest.approx([0.0, -0.3, -0.9, -2.4, -2.4])


def test_demand_of_a_log_without_a_clock_is_finite_and_the_same_for_all() -> None:
    found = Demand()(offers(torch.arange(4).reshape(1, 4)))
    assert found.isfinite().all()
    assert (found == found[0, 0]).all()
