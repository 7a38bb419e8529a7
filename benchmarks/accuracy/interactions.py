"""Interactions without slates as the policies see them: a reader's history is all that they read in training.

Features hold the latest HISTORY_LENGTH reads; here a state holds as many as there are, since a policy takes histories
of any length, and the published figures know a reader's whole past. Nothing has content, age or popularity.
"""

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from scipy.sparse import csr_array

from benchmarks.results import ROOT
from newsrec.evaluation.metrics import ndcg, rank
from newsrec.events import KINDS
from newsrec.features import EMBEDDING_DIM
from newsrec.policy import Policy
from newsrec.transitions import CONTEXT_DIM, POPULARITY_DIM, Candidates, State, Transitions

READERS_TOGETHER = 64


class Interactions(NamedTuple):
    """M interactions in order of time."""

    reader: np.ndarray  # [M] int64, from 0
    item: np.ndarray  # [M] int64, from 1: 0 is the unknown article
    readers: int
    items: int

    def matrix(self, rows: np.ndarray) -> csr_array:
        """[readers, items + 1] float32, ones at the interactions ``rows`` (positions or a mask)."""
        ones = np.ones(len(self.reader[rows]), np.float32)
        return csr_array((ones, (self.reader[rows], self.item[rows])), (self.readers, self.items + 1))


def ml_100k() -> Interactions | None:
    """MovieLens 100k, every rating a read; None where it is not there."""
    path = folder() / "ml-100k.inter"
    if not path.exists():
        return None
    rows = np.loadtxt(path, skiprows=1, usecols=(0, 1, 3), dtype=np.int64)
    rows = rows[np.lexsort((rows[:, 1], rows[:, 2]))]
    reader, item = (np.unique(column, return_inverse=True)[1] for column in rows.T[:2])
    return Interactions(reader, item + 1, int(reader.max()) + 1, int(item.max()) + 1)


def folder() -> Path:
    """Where MovieLens 100k is looked for."""
    return Path(os.environ.get("NEWSREC_DATA", ROOT.parent / "shared" / "data")) / "ml-100k"


def held_out(reader: np.ndarray, share: float, generator: np.random.Generator) -> np.ndarray:
    """[M] bool: a random ``share`` of each reader's interactions, rounded."""
    order = np.lexsort((generator.random(len(reader)), reader))  # by reader, shuffled
    count = np.bincount(reader)
    place = np.arange(len(reader)) - np.repeat(np.cumsum(count) - count, count)
    held = np.empty(len(reader), bool)
    held[order] = place < np.rint(share * count)[reader[order]]
    return held


def state(histories: list[np.ndarray]) -> State:
    """Readers of ``histories``, items in order."""
    width = max(1, *map(len, histories))
    index = np.zeros((len(histories), width), np.int64)
    for row, history in zip(index, histories, strict=True):
        row[: len(history)] = history
    mask = torch.arange(width) < torch.tensor([[len(history)] for history in histories])
    zeros = torch.zeros(mask.shape)
    context = torch.zeros(len(histories), CONTEXT_DIM)
    return State(torch.from_numpy(index), _nothing(mask, EMBEDDING_DIM), zeros, zeros, mask, context)


def candidates(index: torch.Tensor, mask: torch.Tensor) -> Candidates:
    """Items ``index`` [B, C], of which ``mask`` holds those that are there."""
    zeros = torch.zeros(mask.shape)
    return Candidates(index, _nothing(mask, EMBEDDING_DIM), zeros, _nothing(mask, POPULARITY_DIM), zeros, mask)


def slates(histories: list[np.ndarray], clicks: list[np.ndarray], others: list[np.ndarray]) -> Transitions:
    """A decision a reader: ``clicks`` among ``others``, in slates as long as they take."""
    whole = state([np.concatenate(both) for both in zip(clicks, others, strict=True)])
    at = torch.arange(whole.history_mask.shape[1])
    feedback = torch.zeros(*whole.history_mask.shape, len(KINDS))
    clicked = at < torch.tensor([[len(items)] for items in clicks])
    feedback[..., KINDS.index("click")] = clicked.float()
    nothing = torch.zeros(len(clicks))
    return Transitions(
        state(histories),
        candidates(whole.history_index, whole.history_mask),
        at.expand(whole.history_mask.shape),
        whole.history_mask,
        feedback,
        nothing,
        nothing,
        censored=nothing.bool(),
        visit_end=~nothing.bool(),
        returned=nothing,
        expected=nothing,
        log_propensity=torch.zeros(whole.history_mask.shape),
        return_to_go=nothing,
        retention=nothing,
    )


def full_ranking(
    policy: Policy | np.ndarray, histories: list[np.ndarray], wanted: csr_array, k: int = 10
) -> np.ndarray:
    """[R]: nDCG@k of all items that are not in ``histories``; NaN for a reader of whom nothing was held out.

    ``policy`` may also be the scores [R, items + 1] themselves.
    """
    items, found = wanted.shape[1], []
    for start in range(0, len(histories), READERS_TOGETHER):
        some = histories[start : start + READERS_TOGETHER]
        mask = torch.ones(len(some), items, dtype=torch.bool)
        mask[:, 0] = False
        for row, history in zip(mask, some, strict=True):
            row[torch.from_numpy(history)] = False
        if isinstance(policy, np.ndarray):
            scores = policy[start : start + len(some)]
        else:
            index = torch.arange(items).expand(mask.shape)
            with torch.inference_mode():
                scores = policy.scores(state(some), candidates(index, mask)).numpy()
        asked = wanted[start : start + len(some)].toarray() > 0
        found.append(ndcg(rank(scores, asked, mask.numpy()), k))
    return np.concatenate(found)


def lists(matrix: csr_array) -> list[np.ndarray]:
    """The columns of each row."""
    return np.split(matrix.indices.astype(np.int64), matrix.indptr[1:-1])


def _nothing(mask: torch.Tensor, width: int) -> torch.Tensor:
    """[..., width] zeros for ``mask`` [...], without memory."""
    return torch.zeros(1).expand(*mask.shape, width)
