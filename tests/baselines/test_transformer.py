import math

import numpy as np
import pytest
import torch

from newsrec.baselines.transformer import Config, TransformerLearner, TransformerPolicy
from newsrec.encoders.article import CONTENT_GAIN
from newsrec.features import EMBEDDING_DIM
from newsrec.transitions import Transitions
from tests.baselines.batches import batch, no_content

ARTICLES = 200


def content() -> torch.Tensor:
    found = torch.nn.functional.normalize(
        torch.randn(ARTICLES + 1, EMBEDDING_DIM, generator=torch.Generator().manual_seed(3))
    )
    found[0] = 0.0
    return found


def sequences(rows: int = 64) -> Transitions:
    rng = np.random.default_rng(0)
    histories = [rng.integers(1, ARTICLES + 1, rng.integers(0, 9)).tolist() for _ in range(rows)]
    slates = [rng.choice(ARTICLES, 10, replace=False) + 1 for _ in range(rows)]
    return batch(histories, np.array(slates).tolist(), rng.integers(0, 10, rows).tolist(), content())


def untrained(**config: float) -> TransformerPolicy:
    torch.manual_seed(0)
    return TransformerPolicy(Config(**config), ARTICLES)


def trained(steps: int = 5) -> TransformerPolicy:
    policy = untrained(learning_rate=0.01)
    learner = TransformerLearner(policy, torch.Generator().manual_seed(0))
    for _ in range(steps):
        learner.update(sequences())
    return policy.eval()


def test_losses_start_at_the_logarithm_of_the_choices() -> None:
    losses = TransformerLearner(untrained(), torch.Generator().manual_seed(0)).update(sequences())
    assert losses["slate"] == pytest.approx(math.log(10), abs=0.1)
    assert losses["next_read"] == pytest.approx(math.log(257), abs=0.1)
    assert losses["loss"] == pytest.approx(losses["slate"] + 0.1 * losses["next_read"])


def test_starts_as_content_similarity_to_the_pooled_reads_plus_demand() -> None:
    policy, vectors = untrained().eval(), content()
    with torch.no_grad():
        policy.article.identity.weight.zero_()
    found = batch([[1, 2, 3, 4]], [[5, 6]], [0], vectors)
    scores = policy.scores(found.state, found.candidates)[0]
    similarity = CONTENT_GAIN**2 * (vectors[[5, 6]] @ vectors[1:5].sum(0)) / 2  # 4 reads, alpha 0.5
    torch.testing.assert_close(scores[0] - scores[1], similarity[0] - similarity[1])


def test_what_is_known_of_a_reader_does_not_depend_on_the_time_of_the_request() -> None:
    policy, found = trained(), sequences()
    later = found.state._replace(context=torch.ones_like(found.state.context))
    assert torch.equal(policy.read(found.state), policy.read(later))
    for after in (policy.context, policy.moment):  # affinity and demand, both zero before training
        before = policy.scores(later, found.candidates)
        with torch.no_grad():
            after.weight.fill_(0.1)
        assert (policy.scores(later, found.candidates) - before).abs().max() > 1e-3
        torch.testing.assert_close(policy.scores(found.state, found.candidates), trained().scores(*found[:2]))


def test_the_vector_after_n_reads_is_the_vector_of_the_first_n_reads() -> None:
    policy = trained()
    whole = policy.read(batch([[1, 2, 3, 4, 5]], [[6]], [0], content()).state)
    first = policy.read(batch([[1, 2, 3]], [[6]], [0], content()).state)
    torch.testing.assert_close(whole[:, :4], first, atol=1e-5, rtol=1e-5)


def test_every_position_is_asked_for_its_next_read() -> None:
    """Articles come in fixed cycles of four, and no slate tells: only the next-read loss can learn the successor."""
    policy = untrained(learning_rate=0.01, next_read_weight=1.0, forget_rate=0.0, dropout=0.0)
    learner = TransformerLearner(policy, torch.Generator().manual_seed(0))
    rng = np.random.default_rng(0)
    cycles = [[1 + 4 * int(c) + (int(s) + i) % 4 for i in range(8)] for c, s in rng.integers(0, 4, (64, 2))]
    found = batch(cycles, [[0, 0]] * 64, [0] * 64, no_content(ARTICLES))
    for _ in range(90):
        learner.update(found)
    policy.eval()
    outputs = policy.read(found.state)[:, 1:-1]  # after reads 1..7
    index = torch.tensor(cycles)
    scores = outputs @ policy.article.identity.weight[1:17].T
    assert (scores.argmax(2) + 1 == index[:, 1:]).float().mean() > 0.95


def test_a_read_that_nobody_knows_is_not_asked_for() -> None:
    found = batch([[0, 0, 0]], [[1, 2]], [0], content())
    losses = TransformerLearner(untrained(), torch.Generator().manual_seed(0)).update(found)
    assert losses["next_read"] == 0.0


def test_one_step_moves_every_parameter_that_the_batch_touches() -> None:
    policy = untrained(forget_rate=0.0)
    learner = TransformerLearner(policy, torch.Generator().manual_seed(0))
    learner.update(sequences())  # what starts at zero blocks the gradient of what stands before it
    before = {name: value.clone() for name, value in policy.named_parameters()}
    found = sequences()
    found = found._replace(state=found.state._replace(context=torch.ones_like(found.state.context)))
    found = found._replace(
        state=found.state._replace(history_dwell_seconds=torch.ones_like(found.state.history_dwell_seconds)),
        candidates=found.candidates._replace(popularity=torch.rand_like(found.candidates.popularity)),
    )
    learner.update(found)
    learner.update(found)
    unmoved = {name for name, value in policy.named_parameters() if torch.equal(value, before[name])}
    assert not unmoved


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"heads": 3}, "width is 64, expected a multiple of the 3 heads"),
        ({"layers": 0}, "layers is 0, expected 1 or more"),
        ({"dropout": -0.1}, r"dropout is -0.1, expected a share in \[0, 1\]"),
        ({"learning_rate": 0.0}, "learning_rate is 0.0, expected more than 0"),
    ],
)
def test_refuses_impossible_configurations(wrong: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Config(**wrong)
