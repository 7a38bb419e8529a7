"""Rankings made of given figures, for tests of what is done with them."""

import numpy as np

from newsrec.evaluation.ranking import Ranking
from newsrec.features import HOUR
from tests.evaluation.logs import START

READER = np.repeat(np.arange(20), 3)


def ranking(values: np.ndarray | float, same_list: float = 0.0, coverage: float = 0.5, lists: int = 0) -> Ranking:
    """60 decisions of 20 readers whose metrics all are ``values``; ``lists`` tells one ranking's lists from another's.

    Three decisions each, of readers with 0, 1 and 10 reads, spread over 30 hours.
    """
    column = np.broadcast_to(np.asarray(values, float), 60)
    names = ("ndcg_at_10", "mrr", "hit_at_10", "impression_auc", "impression_mrr", "impression_ndcg_at_5")
    metrics = {name: column for name in (*names, "impression_ndcg_at_10", "new_at_10")}
    return Ranking(
        k=10,
        time=START + np.arange(60) * HOUR // 2,
        reader=READER,
        reads=np.tile([0, 1, 10], 20),
        metrics=metrics | {"same_list_at_10": np.full(60, same_list)},
        lists=np.full((60, 10), lists + 1, np.uint64),
        coverage=coverage,
    )


def noisy(mean: float, seed: int, spread: float = 0.05) -> np.ndarray:
    """[60] figures of readers who differ, about ``mean``."""
    generator = np.random.default_rng(seed)
    return mean + generator.normal(0, spread, 20)[READER] + generator.normal(0, spread, 60)
