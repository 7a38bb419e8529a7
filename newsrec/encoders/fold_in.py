"""Readers and articles of a weighted factorisation, each from the vectors of the other side.

A row x that has read the rows ``v`` of a table Y minimises (Hu, Koren & Volinsky 2008, eq. 4)::

    sum_i c_i (p_i - x . y_i)^2 + penalty |x|^2,    p = 1 and c = 1 + confidence for what was read, 0 and 1 elsewhere
    (Y'Y + penalty + confidence V'V) x = (1 + confidence) sum v

which a few conjugate gradient steps solve (Takacs, Pilaszy & Tikk 2011) from where the row was before. They are taken
in ``Coordinates`` in which the part that all rows share, Y'Y + penalty, is the identity, and V'V of a row of h reads is
about ``h * spread``, of which the diagonal is divided out: two such steps come as far as three or more plain ones.

A step takes V and V' times a vector and never makes V'V, which would cost as much as W / 2 steps. The V of a block of
rows are fetched once and stay in the processor's cache for all steps.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from scipy.sparse import csr_array

CELLS = 4096
"""Reads that are solved together: 1 MB of vectors 64 wide."""
TINY = 1e-30
"""Keeps a row that is solved from dividing by zero."""


class Factorization(NamedTuple):
    """What is minimised, and how long."""

    confidence: float
    penalty: float
    steps: int
    """Of conjugate gradients."""


class Coordinates(NamedTuple):
    """Vectors v are ``v @ basis`` here, and an answer z is ``z @ basis.T`` outside."""

    basis: np.ndarray  # [W, W] float32
    spread: np.ndarray  # [W] float32: the mean square of what is read, along each axis


def coordinates(table: np.ndarray, count: np.ndarray, penalty: float) -> Coordinates:
    """For rows of ``table`` [N, W] that were read ``count`` [N] times."""
    wide = table.astype(np.float64)
    shared = wide.T @ wide + penalty * np.eye(table.shape[1])
    read = (wide * count[:, None]).T @ wide / max(count.sum(), 1)
    root = np.linalg.inv(np.linalg.cholesky(shared)).T
    spread, axes = np.linalg.eigh(root.T @ read @ root)
    return Coordinates((root @ axes).astype(np.float32), spread.clip(0.0).astype(np.float32))


def fold_in(
    vectors: np.ndarray, length: np.ndarray, spread: np.ndarray, solve: Factorization, start: np.ndarray | None = None
) -> np.ndarray:
    """[B, W] for rows that have read ``vectors`` [B, H, W], ``length`` [B] of them and zeros as padding.

    ``start`` [B, W] is where the steps begin, zero without one. A row of nothing is zero. Everything is float32 and in
    the coordinates that ``spread`` [W] belongs to.
    """
    confidence = np.float32(solve.confidence)
    scale = 1 / (1 + confidence * length[:, None] * spread)  # [B, W]
    if start is None:
        x = np.zeros(scale.shape, np.float32)
        rest = np.vecmat(np.full(vectors.shape[:2], 1 + confidence), vectors)  # [B, W]
    else:
        x = start.copy()
        rest = np.vecmat(1 + confidence - confidence * np.matvec(vectors, x), vectors) - x  # [B, W]
    direction = scale * rest  # [B, W]
    error = np.vecdot(rest, direction)[:, None]  # [B, 1]
    for step in range(1, solve.steps + 1):
        ahead = np.vecmat(confidence * np.matvec(vectors, direction), vectors) + direction  # [B, W]
        far = error / np.maximum(np.vecdot(direction, ahead)[:, None], TINY)  # [B, 1]
        x += far * direction
        if step < solve.steps:
            rest = rest - far * ahead
            scaled = scale * rest
            before, error = error, np.vecdot(rest, scaled)[:, None]
            direction = scaled + error / np.maximum(before, TINY) * direction
    return x


def solved(read: "csr_array", table: np.ndarray, solve: Factorization, start: np.ndarray | None = None) -> np.ndarray:
    """[R, W]: every row of ``read`` [R, N], ones where it has read a row of ``table`` [N, W], folded in."""
    basis, spread = coordinates(table, np.bincount(read.indices, minlength=len(table)), solve.penalty)
    padded = np.concatenate([table @ basis, np.zeros((1, len(basis)), np.float32)])
    found = np.zeros((read.shape[0], len(basis)), np.float32)
    begun = None if start is None else start @ np.linalg.inv(basis).T
    fetched = np.empty((max(CELLS, np.diff(read.indptr).max(initial=0)), len(basis)), np.float32)
    for rows, length, index in _blocks(read, len(table)):
        block = fetched[: index.size].reshape(*index.shape, len(basis))  # [B, H, W]
        padded.take(index, 0, block, "clip")  # anything but "clip" would copy
        found[rows] = fold_in(block, length, spread, solve, None if begun is None else begun[rows])
    return found @ basis.T


def _blocks(read: "csr_array", padding: int) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Rows of about the same length [B], their lengths [B], and what they read [B, H], ``padding`` behind the last."""
    length = np.diff(read.indptr)
    order = np.argsort(length, kind="stable")
    order = order[length[order] > 0]
    length, indices, place, first = length[order], read[order].indices, 0, 0
    while place < len(order):
        size = max(1, CELLS // length[place])
        size = max(1, min(size, CELLS // length[min(place + size, len(order)) - 1]))
        here = length[place : place + size]
        last = first + here.sum()
        index = np.full((len(here), here[-1]), padding, indices.dtype)
        index[np.arange(here[-1]) < here[:, None]] = indices[first:last]
        yield order[place : place + size], here.astype(np.float32), index
        place, first = place + size, last
