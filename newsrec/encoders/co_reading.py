"""Who read what, summed up over batches: the rows and the Gram matrix that closed-form and graph learners solve from.

A batch does not name readers, so a reader at the moment of a click is a row z of its own: what they had read, and what
they clicked::

    G = sum over rows of n^-a z z^T,    n articles in the row

A log with one decision a reader, whose history and click are all that they read, gives the G of the papers.
"""

from typing import TYPE_CHECKING

import numpy as np
import torch

from newsrec.transitions import Transitions, clicked, shown

if TYPE_CHECKING:
    from scipy.sparse import csr_array

ROWS_TOGETHER = 4096
"""Rows that wait before they are added to the matrix."""


def rows(batch: Transitions, articles: int) -> "csr_array":
    """[R, articles + 1] float32, ones where an article was read or clicked, of the decisions with a click.

    Articles that are unknown by index are left out, and so is a row in which no article is known.
    """
    from scipy.sparse import csr_array  # serving, which never trains, does without

    asked, state, offered = clicked(batch), batch.state, shown(batch).article_index
    read = state.history_index.masked_fill(~state.history_mask, 0)
    index = torch.cat([read, offered.masked_fill(~asked, 0)], 1)[asked.any(1)].numpy()  # [R, H + K]
    row, at = np.nonzero(index)
    found = csr_array((np.ones(len(row), np.float32), (row, index[row, at])), (len(index), articles + 1))
    found.sum_duplicates()
    found.data[:] = 1.0
    return found[np.diff(found.indptr) > 0]


def stacked(found: "list[csr_array]") -> "csr_array":
    """The rows of all of ``found``."""
    from scipy.sparse import vstack

    return vstack(found, "csr")


class CoReading:
    """G over the batches of a pass; ``weight`` is the exponent a."""

    def __init__(self, articles: int, weight: float) -> None:
        self.articles, self.weight = articles, weight
        self._matrix, self._waiting = self._nothing(), self._no_rows()

    def add(self, batch: Transitions) -> None:
        self._waiting.append(rows(batch, self.articles))
        if sum(found.shape[0] for found in self._waiting) >= ROWS_TOGETHER:
            self._sum_up()

    def take(self) -> "csr_array":
        """[articles + 1, articles + 1] float32, G of all that was added since the last call."""
        self._sum_up()
        found, self._matrix = self._matrix, self._nothing()
        return found

    def _sum_up(self) -> None:
        if self._waiting:
            self._matrix = self._matrix + gram(stacked(self._waiting), self.weight)
        self._waiting = self._no_rows()

    def _nothing(self) -> "csr_array":
        from scipy.sparse import csr_array

        return csr_array((self.articles + 1, self.articles + 1), dtype=np.float32)

    @staticmethod
    def _no_rows() -> "list[csr_array]":
        return []


def gram(read: "csr_array", weight: float = 0.0) -> "csr_array":
    """G of rows ``read`` [R, N] of ones."""
    scaled = read.copy()
    scaled.data = np.repeat(np.maximum(np.diff(read.indptr), 1).astype(np.float32) ** -weight, np.diff(read.indptr))
    return (read.T.tocsr() @ scaled).tocsr()
