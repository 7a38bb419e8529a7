"""Readers and articles of a weighted factorisation, each from the vectors of the other side.

A row x that has read the rows ``v`` of a table Y minimises (Hu, Koren & Volinsky 2008, eq. 4)::

    sum_i c_i (p_i - x . y_i)^2 + penalty |x|^2,    p = 1 and c = 1 + confidence for what was read, 0 and 1 elsewhere
    (Y'Y + confidence V'V + penalty) x = (1 + confidence) sum v

which a few conjugate gradient steps solve (Takacs, Pilaszy & Tikk 2011) from where the row was before. They use the
matrix, whose products are the fastest that a processor has, rather than V itself, which they would read twice a step.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from scipy.sparse import csr_array

CELLS = 8192
"""Reads that are solved together: what they take stays in the processor's cache."""


class Factorization(NamedTuple):
    """What is minimised, and how long."""

    confidence: float
    penalty: float
    steps: int
    """Of conjugate gradients."""


def fold_in(vectors: Tensor, gram: Tensor, solve: Factorization, start: Tensor | None = None) -> Tensor:
    """[B, W] for rows that have read ``vectors`` [B, H, W], zeros being padding; ``gram`` [W, W] is Y'Y.

    ``start`` [B, W] is where the steps begin, zero without one. A row of nothing is zero.
    """

    batch, length, width = vectors.shape
    constant = (gram + solve.penalty * torch.eye(width)).expand(batch, -1, -1)
    matrix = torch.baddbmm(constant, vectors.transpose(1, 2), vectors, alpha=solve.confidence)  # [B, W, W]
    rest = torch.bmm(torch.full((batch, 1, length), 1.0 + solve.confidence), vectors).squeeze(1)  # [B, W]
    x = torch.zeros_like(rest)
    if start is not None:
        x, rest = start.clone(), rest - _times(start, matrix)
    direction = rest.clone()
    error = torch.linalg.vecdot(rest, rest)[:, None]  # [B, 1]
    for _ in range(solve.steps):
        ahead = _times(direction, matrix)
        far = error / torch.linalg.vecdot(direction, ahead)[:, None].clamp_(min=1e-30)
        x.addcmul_(far, direction)
        rest.addcmul_(far, ahead, value=-1.0)
        before, error = error, torch.linalg.vecdot(rest, rest)[:, None]
        direction = torch.addcmul(rest, error / before.clamp(min=1e-30), direction)
    return x


def _times(x: Tensor, matrix: Tensor) -> Tensor:
    """[B, W]: ``x`` [B, W] times ``matrix`` [B, W, W]; a row on the left is faster than a column on the right."""
    return torch.bmm(x[:, None], matrix).squeeze(1)


def solved(read: "csr_array", table: Tensor, solve: Factorization, start: Tensor | None = None) -> Tensor:
    """[R, W]: every row of ``read`` [R, N], ones where it has read a row of ``table`` [N, W], folded in."""
    gram = table.T @ table
    padded = torch.cat([table, torch.zeros_like(table[:1])])
    found = torch.zeros(read.shape[0], table.shape[1])
    for rows, index in _blocks(read, len(table)):
        begun = None if start is None else start[rows]
        vectors = padded.index_select(0, index.flatten()).reshape(*index.shape, -1)  # [B, H, W]; padded[index] is slow
        found[rows] = fold_in(vectors, gram, solve, begun)
    return found


def _blocks(read: "csr_array", padding: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Rows of about the same length [B], and what they have read [B, H], ``padding`` behind the last."""
    length = np.diff(read.indptr)
    order = np.argsort(length, kind="stable")
    order = order[length[order] > 0]
    place = 0
    while place < len(order):
        size = max(1, CELLS // length[order[place]])
        size = max(1, min(size, CELLS // length[order[min(place + size, len(order)) - 1]]))
        rows = order[place : place + size]
        step = np.arange(length[rows[-1]])
        real = step < length[rows, None]
        at = np.where(real, read.indptr[rows, None] + step, 0)
        yield torch.from_numpy(rows), torch.from_numpy(np.where(real, read.indices[at], padding).astype(np.int64))
        place += size
