"""How good explanations are: do they find what truly drove a click, and do scores fall when it is taken away?

A simulator records what each earlier read added to the log odds of a click (its *causes*). An explanation ranks the
reads of a click; ``top_k_recall`` is whether the largest recorded cause is among its first k. A click is judged if
there is something to find: at least ``JudgeConfig.min_reads`` reads are known to the policy and the largest of their
causes is at least ``min_weight``. Reads that the policy could not know (of a cleared cookie, or that had not arrived)
are no cause that an explanation could name.

``deletion_fall`` takes reads away in the order of the explanation, the most driving first (Petsiuk et al. 2018), and
measures how far the score is below where it was, on average over the way. An explanation that knows the policy makes
its score fall early. This needs no truth: it judges whether the *policy* is explained, recall whether the *reader* is.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import Tensor

from newsrec.decisions import Decisions
from newsrec.encoders.slate_value import spread
from newsrec.evaluation.explanation import only
from newsrec.events import EventLog
from newsrec.policy import Policy
from newsrec.transitions import Candidates, State


@dataclass(frozen=True)
class JudgeConfig:
    """Which clicks are judged, and how strictly."""

    k: int = 3
    """Reads that an explanation may name."""
    min_reads: int = 5
    """With fewer, naming ``k`` at random would find most causes."""
    min_weight: float = 0.01
    """Log odds. A hundredth of the odds: what is smaller drove nothing, whatever its rank."""
    steps: int = 10
    """Points of the deletion curve."""

    def __post_init__(self) -> None:
        for name in ("k", "steps"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}, expected 1 or more")
        if self.min_reads <= self.k:
            raise ValueError(f"min_reads is {self.min_reads}, expected more than the {self.k} that are named")
        if not self.min_weight > 0:
            raise ValueError(f"min_weight is {self.min_weight}, expected more than 0")


class CausedClicks(NamedTuple):
    """n clicks with what drove them."""

    row: np.ndarray
    """[n] int64, of the decisions."""
    at: np.ndarray
    """[n] int64, the clicked article among the decision's candidates."""
    weight: np.ndarray
    """[n, H] float64, log odds that each read of the history adds; NaN where there is no read or nothing recorded."""

    def take(self, rows: np.ndarray) -> "CausedClicks":
        return CausedClicks(*(column[rows] for column in self))


def caused_clicks(causes: pa.Table, decisions: Decisions, requests: pa.Array | pa.ChunkedArray) -> CausedClicks:
    """The clicks of ``causes`` that are in ``decisions``, whose rows have the names ``requests``.

    ``causes`` has one row for each click and earlier read: request_id, article_id, read_article_id and weight.
    """
    row = pc.fill_null(pc.index_in(causes["request_id"], value_set=requests), -1).to_numpy().astype(np.int64)
    article, read = (decisions.catalogue.rows_of_ids(causes[name]) for name in ("article_id", "read_article_id"))
    known = (row >= 0) & (article > 0) & (read > 0)
    row, article, read, weight = row[known], article[known], read[known], causes["weight"].to_numpy()[known]
    _, first, click = np.unique(np.stack([row, article]), axis=1, return_index=True, return_inverse=True)
    of_click, clicked, click = row[first], article[first], click.ravel()
    found = np.full((len(first), decisions.readers.key.shape[1]), np.nan)
    there = _history(decisions, of_click)[click] == read[:, None]  # [causes, H]
    pair, place = np.nonzero(there)
    found[click[pair], place] = 0.0
    np.add.at(found, (click[pair], place), weight[pair])  # an article that was read twice is one read of the history
    at = [
        int(np.flatnonzero(decisions.candidate.values[start:end] == wanted)[0])
        for start, end, wanted in zip(
            decisions.candidate.offsets[of_click], decisions.candidate.offsets[of_click + 1], clicked, strict=True
        )
    ]
    return CausedClicks(of_click, np.array(at, np.int64), found)


def requests(log: EventLog) -> pa.ChunkedArray:
    """The names of the rows of ``dataset.from_log(log)``."""
    decisions = log.decisions
    return decisions.sort_by([("time", "ascending"), ("request_id", "ascending")])["request_id"]


def judged(caused: CausedClicks, config: JudgeConfig) -> np.ndarray:
    """[n] bool: the clicks in which there is something to find."""
    known = ~np.isnan(caused.weight)
    largest = np.where(known, caused.weight, -np.inf).max(1, initial=-np.inf)
    return (known.sum(1) >= config.min_reads) & (largest >= config.min_weight)


def top_k_recall(attributions: np.ndarray, caused: CausedClicks, k: int) -> np.ndarray:
    """[n] float64: the probability that the largest cause is among the ``k`` reads with the largest ``attributions``.

    [n, H], as wide as the longest history or more. Ties are broken by chance, so that an explanation that tells nothing
    finds as much as chance does.
    """
    weight = caused.weight[:, : attributions.shape[1]]
    known = ~np.isnan(weight)  # [n, H]
    cause = np.where(known, weight, -np.inf).argmax(1)  # [n]
    own = np.take_along_axis(attributions, cause[:, None], 1)  # [n, 1]
    above, equal = (known & (attributions > own)).sum(1), (known & (attributions == own)).sum(1)
    return np.clip((k - above) / equal, 0.0, 1.0)


@torch.no_grad()
def deletion_fall(
    policy: Policy, state: State, candidates: Candidates, at: Tensor, attributions: np.ndarray, steps: int = 10
) -> np.ndarray:
    """[B] float64: how far the score of candidate ``at`` [B] falls while reads go, the most driving first.

    ``attributions`` [B, H] give the order; ties go from the oldest on. The mean of the fall over ``steps`` equal parts
    of the history, up to the whole of it, in standard deviations of this policy's scores between candidates.
    """
    places = torch.arange(len(at))
    ranked = torch.from_numpy(attributions).masked_fill(~state.history_mask, -torch.inf)
    order = ranked.argsort(dim=1, descending=True, stable=True).argsort(1)  # [B, H] when each read goes
    served = policy.scores(state, candidates)  # [B, C]
    unit = spread(served.masked_fill(~candidates.mask, 0.0), candidates.mask)
    length = state.history_mask.sum(1, keepdim=True)  # [B, 1]
    falls = []
    for step in range(1, steps + 1):
        gone = (length * step / steps).round()  # [B, 1]
        left = policy.scores(only(state, order >= gone), candidates)
        falls.append((served - left)[places, at] / unit)
    return torch.stack(falls, 1).mean(1).double().numpy()


def recency(state: State) -> np.ndarray:
    """[B, H]: the newest read first."""
    return np.broadcast_to(np.arange(state.history_mask.shape[1], dtype=float), state.history_mask.shape).copy()


def latest_on_topic(state: State, same_topic: np.ndarray) -> np.ndarray:
    """[B, H]: reads on the article's topic (``same_topic`` [B, H]), the newest first, then the others likewise."""
    return recency(state) + state.history_mask.shape[1] * same_topic


def content_similarity(state: State, article: Candidates) -> np.ndarray:
    """[B, H]: the cosine of the contents of each read and of ``article`` [B, 1]; no policy is asked."""
    return torch.cosine_similarity(state.history_content, article.content, dim=-1).double().numpy()


def at_random(state: State, generator: np.random.Generator) -> np.ndarray:
    """[B, H]."""
    return generator.random(state.history_mask.shape)


def on_topic(decisions: Decisions, caused: CausedClicks) -> np.ndarray:
    """[n, H] bool: whether each read has the category of the clicked article."""
    names = pc.fill_null(decisions.catalogue.articles["category"], "").to_pylist()
    topic = np.unique(["", *names], return_inverse=True)[1]  # [N + 1] by row of the catalogue; 0: none
    clicked = decisions.candidate.values[decisions.candidate.offsets[caused.row] + caused.at]
    read = topic[_history(decisions, caused.row)]
    return (read == topic[clicked][:, None]) & (read > 0)


def _history(decisions: Decisions, rows: np.ndarray) -> np.ndarray:
    """[B, H] rows of the catalogue that were read before each of ``rows``, 0 where unknown or behind the last read."""
    readers = decisions.readers.take(rows)
    known = np.arange(readers.key.shape[1]) < readers.length[:, None]
    return np.where(known, decisions.catalogue.rows_of_keys(readers.key), 0)
