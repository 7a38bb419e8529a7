"""One policy on logged decisions: how well it orders what was shown, and what it would have shown from the whole pool.

*Within the impression*, the policy orders the articles of the slate that the reader saw. *In the full ranking*, it
orders every article that anyone could have been shown within the same hour, less those that the reader had read
(unless clicked again now), that were not published yet, or that were withdrawn; its first k are its list. Both count
the clicks of a slate that another policy chose, so they favour policies that agree with that one.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from newsrec.decisions import Decisions
from newsrec.evaluation.metrics import auc, hit, mrr, ndcg, rank
from newsrec.features import DAY, HISTORY_LENGTH, HOUR, article_key
from newsrec.policy import Policy
from newsrec.transitions import Candidates, State, clicked, shown

CELLS = 100_000
"""Decisions times articles that are scored at once; each takes about 1 kB while a network scores it."""
IMPRESSION_METRICS = ("impression_auc", "impression_mrr", "impression_ndcg_at_5", "impression_ndcg_at_10")
NOTHING = 0
"""Stands in a list that is shorter than k."""


@dataclass(frozen=True)
class Ranking:
    """What ``evaluate`` found for n decisions."""

    k: int
    time: np.ndarray
    """[n] int64, microseconds."""
    reader: np.ndarray
    """[n] int64, the readers' numbers in the log."""
    reads: np.ndarray
    """[n] int64, reads in the reader's history at the decision."""
    metrics: dict[str, np.ndarray]
    """[n] float64 each, by the names of ``definitions``; NaN where the metric is not defined."""
    lists: np.ndarray
    """[n, k] uint64, keys of the first k articles of the full ranking; NOTHING beyond its end."""
    coverage: float
    """Distinct articles in the lists over distinct articles that could have stood there."""


def definitions(k: int) -> dict[str, str]:
    """What each metric of ``Ranking.metrics``, and the coverage, means; by name, in the order of reports."""
    return {
        f"ndcg_at_{k}": f"full ranking: discounted gain of the clicks among the first {k}, 1 at best",
        "mrr": "full ranking: one over the rank of the first click",
        f"hit_at_{k}": f"full ranking: share of decisions with a click among the first {k}",
        "impression_auc": "within the impression: share of pairs (clicked, not clicked) in the right order",
        "impression_mrr": "within the impression: one over the rank of the first click",
        "impression_ndcg_at_5": "within the impression: discounted gain of the clicks among the first 5, 1 at best",
        "impression_ndcg_at_10": "within the impression: discounted gain of the clicks among the first 10, 1 at best",
        f"coverage_at_{k}": f"articles in anyone's list of {k}, of all that could stand there; has no interval",
        f"same_list_at_{k}": f"probability that another reader within the same hour gets the same list of {k}",
        f"new_at_{k}": f"share of the list of {k} that was published within the last 24 hours",
    }


def evaluate(policy: Policy, decisions: Decisions, rows: np.ndarray, k: int = 10, cells: int = CELLS) -> Ranking:
    """The ranking metrics of ``policy`` on ``rows`` of ``decisions``, which are numbered by its own catalogue.

    Puts a network into evaluation mode. Raises ValueError for no rows, for k below 1 and for a score that is NaN.
    """
    if not len(rows):
        raise ValueError("found no decisions to evaluate, expected at least one row")
    if k < 1:
        raise ValueError(f"k is {k}, expected 1 or more")
    if isinstance(policy, torch.nn.Module):
        policy.eval()
    impressions, pools = [], []
    with torch.inference_mode():
        for part in _parts(np.diff(decisions.candidate.offsets)[rows], cells):
            impressions.append(_within_impression(policy, decisions, rows[part]))
        for part in _parts(decisions.pool_size(rows), cells):
            pools.append(_full_ranking(policy, decisions, rows[part], k))
    full = {name: np.concatenate([pool.metrics[name] for pool in pools]) for name in pools[0].metrics}
    slates = {name: np.concatenate([part[name] for part in impressions]) for name in impressions[0]}
    lists = np.concatenate([pool.lists for pool in pools])  # [n, k] rows of the catalogue
    keys = np.array([NOTHING, *(article_key(a) for a in decisions.catalogue.ids[1:])], np.uint64)
    time, reader = decisions.time[rows], decisions.user[rows]
    same = same_list(time // HOUR, reader, lists)
    new = _share_new(lists, time[:, None] - decisions.catalogue.published_at[lists])
    metrics = full | slates | {f"same_list_at_{k}": same, f"new_at_{k}": new}
    available = np.unique(np.concatenate([pool.available for pool in pools]))
    return Ranking(
        k=k,
        time=time,
        reader=reader,
        reads=decisions.readers.length[rows],
        metrics={name: metrics[name] for name in definitions(k) if name in metrics},
        lists=keys[lists],
        coverage=float(np.count_nonzero(np.unique(lists)) / max(1, len(available))),
    )


class _Pools(NamedTuple):
    """A part of the full rankings; articles as rows of the catalogue."""

    metrics: dict[str, np.ndarray]
    lists: np.ndarray  # [B, k] int64, 0 beyond the end
    available: np.ndarray  # distinct articles that could stand in a list


def _within_impression(policy: Policy, decisions: Decisions, rows: np.ndarray) -> dict[str, np.ndarray]:
    batch = decisions.batch(rows)
    scores = _scores(policy, batch.state, shown(batch))  # [B, K]
    ranked = rank(scores, clicked(batch).numpy(), batch.slate_mask.numpy())
    values = auc(ranked), mrr(ranked), ndcg(ranked, 5), ndcg(ranked, 10)
    return dict(zip(IMPRESSION_METRICS, values, strict=True))


def _full_ranking(policy: Policy, decisions: Decisions, rows: np.ndarray, k: int) -> _Pools:
    pool, now, catalogue = decisions.pool(rows), decisions.time[rows, None], decisions.catalogue
    article, clicks = pool.row.numpy(), pool.clicked.numpy()  # [B, C]
    servable = (catalogue.published_at[article] <= now) & (now < catalogue.hidden_at[article])
    available = pool.candidates.mask.numpy() & (clicks | (servable & ~pool.read.numpy()))  # [B, C]
    ranked = rank(_scores(policy, pool.state, pool.candidates), clicks, available)
    lists = np.zeros((len(rows), k), np.int64)
    first = np.where(ranked.real, np.take_along_axis(article, ranked.order, 1), 0)[:, :k]
    lists[:, : first.shape[1]] = first
    metrics = {f"ndcg_at_{k}": ndcg(ranked, k), "mrr": mrr(ranked), f"hit_at_{k}": hit(ranked, k)}
    return _Pools(metrics, lists, np.unique(article[available]))


def same_list(hour: np.ndarray, reader: np.ndarray, lists: np.ndarray) -> np.ndarray:
    """[n] float64: of the decisions of *other* readers within the same hour, the share with the very same list.

    Averaged, this is the probability that two readers of an hour see the same, whatever the hour's traffic. NaN where
    nobody else came. ``lists`` [n, k] in order.
    """
    which = np.unique(lists, axis=0, return_inverse=True)[1].ravel()
    others = _count(hour) - _count(hour, reader)
    alike = _count(hour, which) - _count(hour, which, reader)
    return np.divide(alike, others, out=np.full(len(hour), np.nan), where=others > 0)


def _count(*columns: np.ndarray) -> np.ndarray:
    """[n]: how many rows are equal to each row."""
    _, member, count = np.unique(np.stack(columns), axis=1, return_inverse=True, return_counts=True)
    return count[member.ravel()]


def _share_new(lists: np.ndarray, age: np.ndarray) -> np.ndarray:
    """[n]: of each list's articles, the share whose ``age`` [n, k] is at most a day; NaN for an empty list."""
    length = np.count_nonzero(lists, axis=1)
    new = ((age <= DAY) & (lists > 0)).sum(1)
    return np.divide(new, length, out=np.full(len(lists), np.nan), where=length > 0)


def _scores(policy: Policy, state: State, candidates: Candidates) -> np.ndarray:
    """[B, C]. Raises ValueError where a real candidate has the score NaN."""
    scores = policy.scores(state, candidates).numpy()
    broken = np.isnan(scores) & candidates.mask.numpy()
    if broken.any():
        raise ValueError(f"{type(policy).__name__} scored {broken.sum()} of {broken.size} candidates NaN")
    return scores


def _parts(width: np.ndarray, cells: int) -> Iterator[slice]:
    """Successive slices of the rows; the number of rows times the widest of them, history included, fits ``cells``."""
    start = widest = 0
    for row, columns in enumerate(width + HISTORY_LENGTH):
        if row > start and max(widest, columns) * (row + 1 - start) > cells:
            yield slice(start, row)
            start, widest = row, 0
        widest = max(widest, columns)
    yield slice(start, len(width))
