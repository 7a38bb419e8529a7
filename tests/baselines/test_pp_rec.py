"""PP-Rec by hand: the mixture of taste and popularity, and what each reader leans on."""

import numpy as np
import torch

from newsrec.baselines.pp_rec import AGE, CLICKS, GAIN, Config, PpRecLearner, PpRecPolicy
from newsrec.encoders.article import DEMAND_PRIOR, demand_features
from newsrec.features import EMBEDDING_DIM
from newsrec.transitions import Transitions
from tests.baselines.batches import batch, no_content


def asked() -> Transitions:
    generator = torch.Generator().manual_seed(1)
    found = batch([[1, 2], [3]], [[3, 4], [1, 4]], [0, 0], torch.randn(5, EMBEDDING_DIM, generator=generator) / 8)
    candidates = found.candidates._replace(
        popularity=torch.rand(found.candidates.popularity.shape, generator=generator),
        age_hours=50 * torch.rand(found.candidates.age_hours.shape, generator=generator),
        shown=torch.tensor([[0.0, 2.0], [1.0, 0.0]]),
    )
    return found._replace(candidates=candidates)


def untrained(**config: float) -> PpRecPolicy:
    torch.manual_seed(0)
    return PpRecPolicy(Config(width=8, **config), 4).eval()  # type: ignore[arg-type]


def test_starts_as_taste_and_the_demand_of_every_policy() -> None:
    policy, found = untrained(), asked()
    with torch.inference_mode():
        reader, offered = (
            policy.reader(found.state),
            policy.article(found.candidates.article_index, found.candidates.content),
        )
        taste = GAIN / 2 * (offered @ reader[..., None]).squeeze(-1)
        demand = demand_features(found.candidates) @ torch.tensor(DEMAND_PRIOR)
        expected = taste + demand + policy.fatigue(found.candidates)
        torch.testing.assert_close(policy.scores(found.state, found.candidates), expected)


def test_scores_by_hand() -> None:
    policy, found = untrained(), asked()
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(2)) / 4)
    with torch.inference_mode():
        u = policy.reader(found.state).numpy()
        v = policy.article(found.candidates.article_index, found.candidates.content).numpy()
        d = demand_features(found.candidates).numpy()
        scores = policy.scores(found.state, found.candidates).numpy()
    weights = {name: value.detach().numpy() for name, value in policy.named_parameters()}
    known = np.concatenate([u, found.state.context.numpy()], 1)
    eta = 1 / (1 + np.exp(-(known @ weights["mix.weight"][0] + weights["mix.bias"])))[:, None]
    theta = 1 / (1 + np.exp(-(v @ weights["by_gate"] + d[..., AGE] @ weights["age_gate"] + weights["level"])))
    by_age, by_content = d[..., AGE] @ weights["by_age"], v @ weights["by_content"]
    popularity = d[..., CLICKS] @ weights["by_clicks"] + theta * by_content + (1 - theta) * by_age
    taste = weights["gain"] * (v @ u[..., None]).squeeze(-1)
    expected = (1 - eta) * taste + eta * popularity + weights["fatigue.weight"] * found.candidates.shown.numpy()
    np.testing.assert_allclose(scores, expected, rtol=1e-4, atol=1e-5)


def test_new_readers_come_to_lean_on_popularity_where_that_is_all_they_follow() -> None:
    """Who has read something clicks its like, who has not clicks what others click."""
    rng, rows = np.random.default_rng(0), 256
    kind = rng.integers(1, 3, rows)
    known = rng.random(rows) < 0.5
    popular = rng.integers(0, 2, rows)
    histories = [[int(k)] if told else [] for k, told in zip(kind, known, strict=True)]
    slates = [[1, 2] if told else [0, 0] for told in known]
    clicks = np.where(known, kind - 1, popular)
    found = batch(histories, slates, clicks.tolist(), no_content(2))
    heat = torch.zeros(rows, 2, 4)
    heat[torch.arange(rows), torch.from_numpy(popular), 0] = 2.0
    context = found.state.context.clone()
    context[:, 0] = torch.from_numpy(known).float()
    found = found._replace(
        candidates=found.candidates._replace(popularity=heat), state=found.state._replace(context=context)
    )
    policy = untrained(forget_rate=0.0, learning_rate=0.01, dropout=0.0)
    learner = PpRecLearner(policy, torch.Generator().manual_seed(0))
    for _ in range(150):
        learner.update(found)
    with torch.inference_mode():
        reader = policy.reader(found.state)
        eta = policy.mix(torch.cat([reader, found.state.context], 1)).sigmoid().squeeze(1).numpy()
        right = policy.scores(found.state, found.candidates).argmax(1).numpy() == clicks
    assert right.mean() > 0.95
    assert eta[~known].mean() > eta[known].mean()
