"""Leave one out on ml-100k: each reader's last read is ranked among all items that they have not read.

Our SASRec with the full softmax beside RecTools' SASRec with softmax, on one thread each: equal are width, blocks,
heads, dropout, the longest history, the step and that the order of reads is all that is known. Both are taken after as
many epochs as ``Size`` says; an epoch of RecTools sees the latest reads of each reader, one of ours all of them, in
windows.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from scipy.sparse import csr_array

from benchmarks.accuracy import peers
from benchmarks.accuracy.interactions import Interactions, candidates, full_ranking, ml_100k, slates, state
from benchmarks.kept import Kept
from benchmarks.results import Bar, Part, mean
from newsrec.baselines.sasrec import Config, SasRecLearner, SasRecPolicy
from newsrec.features import HISTORY_LENGTH
from newsrec.training import seeded
from newsrec.transitions import Transitions

SEEDS = [0]
K, TOGETHER = 10, 128
DIFFERENCE = "SASRec less RecTools' SASRec, nDCG@10"
NETWORK: dict[str, Any] = {"width": 64, "layers": 2, "heads": 2, "dropout": 0.2}


@dataclass(frozen=True)
class Size:
    """How long both are trained."""

    epochs: int = 32
    """Of ours, which take under half of the time of RecTools' epochs."""
    their_epochs: int = 100
    readers: int | None = None
    """The first ones alone; None: all."""


FULL, QUICK = Size(), Size(epochs=1, their_epochs=1, readers=60)


def protocol(size: Size) -> str:
    return (
        "Leave one out, full ranking: "
        f"ml-100k, every rating a read; each reader's last read is ranked among all items that they have not read, the "
        f"others are trained on; nDCG@{K} of readers and its paired difference, 95 %; {NETWORK}, histories of "
        f"{HISTORY_LENGTH}; {size.epochs} epochs of ours, {size.their_epochs} of RecTools', one thread each."
    )


def measured(size: Size, kept: Kept | None = None, progress: Callable[[str], None] = print) -> Part:
    """nDCG of both, the difference with its interval, and wall and CPU time. Raises FileNotFoundError."""
    data = ml_100k()
    if data is None:
        raise FileNotFoundError("MovieLens 100k is not there; set NEWSREC_DATA to a folder that holds ml-100k")
    if size.readers:
        data = _first(data, size.readers)
    kept, about = kept or Kept(), [size.readers, len(data.item), NETWORK, TOGETHER, HISTORY_LENGTH, SEEDS, K]
    ours = kept.of("sequences-ours", [*about, size.epochs], partial(_ours, data, size))
    values = np.array(ours.pop("ndcg_at_10"))
    progress(f"ours  nDCG {values.mean():.4f}  {ours}")
    figures: dict[str, Any] = {"ours": ours | {"ndcg_at_10": mean(values)}}
    if not peers.PYTHON.exists():
        return Part({"sequences": figures}, [Bar(DIFFERENCE, None, None, peers.MISSING, False)])
    theirs = kept.of("sequences-rectools", [*about, size.their_epochs], partial(_theirs, data, size))
    their_values = np.array(theirs.pop("ndcg_at_10"))
    progress(f"RecTools  nDCG {their_values.mean():.4f}  {theirs}")
    difference, share = mean(values - their_values), ours["cpu"] / theirs["cpu"]
    figures |= {"rectools": theirs | {"ndcg_at_10": mean(their_values)}, "difference": difference}
    return Part(
        {"sequences": figures},
        [
            Bar(DIFFERENCE, difference.value, difference.interval, ">= 0", difference.value >= 0),
            Bar("CPU time of SASRec over RecTools', one thread each", share, None, "<= 0.5", share <= 0.5),
        ],
    )


def _ours(data: Interactions, size: Size) -> dict[str, Any]:
    """nDCG of each reader, and what training took."""
    last = _last(data)
    histories = _sequences(data, np.flatnonzero(~last))
    began = time.perf_counter(), time.process_time()
    policy = fitted(histories, data.items, size, SEEDS[0])
    took = {"wall": time.perf_counter() - began[0], "cpu": time.process_time() - began[1]}
    latest = [history[-HISTORY_LENGTH:] for history in histories]
    return took | {"ndcg_at_10": _unread(policy, latest, histories, data.matrix(last)).tolist()}


def _theirs(data: Interactions, size: Size) -> dict[str, Any]:
    """The same of RecTools."""
    last = _last(data)
    arrays = {"reader": data.reader[~last], "item": data.item[~last]}
    asked = NETWORK | {"history": HISTORY_LENGTH, "learning_rate": Config().learning_rate, "batch": TOGETHER}
    asked |= {"seed": SEEDS[0], "readers": data.readers, "epochs": size.their_epochs}
    found, about = peers.run("sasrec", arrays, **asked)
    hit = found["top"] == data.matrix(last).indices[:, None]
    return about | {"ndcg_at_10": (hit / np.log2(np.arange(2, K + 2))).sum(1).tolist()}


def fitted(histories: list[np.ndarray], items: int, size: Size, seed: int) -> SasRecPolicy:
    """Our SASRec, trained on windows of ``histories``."""
    generator, luck = seeded(seed), np.random.default_rng(seed)
    config = Config(**NETWORK, slate_weight=0.0, forget_rate=0.0)
    policy = SasRecPolicy(config, items)
    learner = SasRecLearner(policy, generator)
    policy.train()
    for _ in range(size.epochs):
        for batch in windows(histories, luck):
            learner.update(batch)
    return policy.eval()


def windows(histories: list[np.ndarray], luck: np.random.Generator) -> Iterator[Transitions]:
    """One pass over ``histories`` in windows of HISTORY_LENGTH reads, whose first end lies at random."""
    cut = []
    for history in histories:
        starts = np.arange(luck.integers(1, HISTORY_LENGTH + 1), len(history), HISTORY_LENGTH)
        cut += [window for window in np.split(history, starts) if len(window) > 1]
    cut = [cut[i] for i in luck.permutation(len(cut))]
    for start in range(0, len(cut), TOGETHER):
        some = cut[start : start + TOGETHER]
        yield slates(some, [window[:1] for window in some], [window[:0] for window in some])


def _unread(policy: SasRecPolicy, latest: list[np.ndarray], read: list[np.ndarray], wanted: csr_array) -> np.ndarray:
    """[R]: nDCG@K where what was read, be it long ago, is not ranked."""
    scores = np.zeros(wanted.shape, np.float32)
    for start in range(0, len(latest), TOGETHER):
        some = latest[start : start + TOGETHER]
        index = torch.arange(wanted.shape[1]).expand(len(some), -1)
        with torch.inference_mode():
            found = policy.scores(state(some), candidates(index, torch.ones(index.shape, dtype=torch.bool)))
        scores[start : start + len(some)] = found.numpy()
    return full_ranking(scores, read, wanted, K)


def _last(data: Interactions) -> np.ndarray:
    """[M] bool: the last interaction of each reader."""
    last = np.zeros(len(data.reader), bool)
    last[len(last) - 1 - np.unique(data.reader[::-1], return_index=True)[1]] = True
    return last


def _sequences(data: Interactions, rows: np.ndarray) -> list[np.ndarray]:
    """The items of each reader at ``rows``, in order of time."""
    order = rows[np.argsort(data.reader[rows], kind="stable")]
    return np.split(data.item[order], np.cumsum(np.bincount(data.reader[rows], minlength=data.readers))[:-1])


def _first(data: Interactions, readers: int) -> Interactions:
    kept = data.reader < readers
    item = np.unique(data.item[kept], return_inverse=True)[1]
    return Interactions(data.reader[kept], item + 1, readers, int(item.max()) + 1)
