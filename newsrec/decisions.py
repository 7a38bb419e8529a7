"""A whole log as decisions: compact arrays from which batches of ``Transitions`` are gathered."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from newsrec import transitions
from newsrec.catalogue import Catalogue
from newsrec.events import KINDS
from newsrec.features import HOUR
from newsrec.transitions import Candidates, Readers, State, Transitions


class Ragged(NamedTuple):
    """N lists of numbers: list i is ``values[offsets[i] : offsets[i + 1]]``."""

    values: np.ndarray
    offsets: np.ndarray

    def padded(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Positions in ``values`` of the lists ``rows`` (-1: no list), and the mask of what is real: [B, longest]."""
        start = self.offsets[rows]
        length = np.where(rows >= 0, self.offsets[rows + 1] - start, 0)
        step = np.arange(max(1, length.max(initial=0)))
        mask = step < length[:, None]
        return np.where(mask, start[:, None] + step, 0), mask

    @property
    def row(self) -> np.ndarray:
        """For each value the number of its list."""
        return np.repeat(np.arange(len(self.offsets) - 1), np.diff(self.offsets))


class StoredCounts(NamedTuple):
    """M pairs of an article and a full hour, in order of the hour, with the counts known at that hour."""

    article: np.ndarray  # [M] int64, rows of the catalogue
    hour: np.ndarray  # [M] int64, hours since 1970
    counts: np.ndarray  # [M, 4] float32, decayed up to as_of
    as_of: np.ndarray  # [M] int64, microseconds


class Pool(NamedTuple):
    """B decisions with every article that was a candidate of anyone within the same full hour."""

    state: State
    candidates: Candidates
    clicked: Tensor
    """[B, C] bool: what the reader clicked at this decision."""
    read: Tensor
    """[B, C] bool: what the reader had read before it."""
    row: Tensor
    """[B, C] int64, rows of the catalogue."""


@dataclass(frozen=True)
class Decisions:
    """N decisions of a log in order of time. ``dataset.build`` makes it."""

    catalogue: Catalogue
    use_time: bool
    time: np.ndarray  # [N] int64, microseconds
    user: np.ndarray  # [N] int64, readers numbered from 0
    utc_offset: np.ndarray  # [N] int64, minutes
    readers: Readers
    candidate: Ragged  # rows of the catalogue
    stored: StoredCounts
    count_row: np.ndarray  # one entry a candidate: its row in ``stored``
    slate: Ragged  # positions in the candidates
    feedback: np.ndarray  # [S, F] float32, one row a shown article
    propensity: np.ndarray  # [S] float32, NaN where not logged
    reward: np.ndarray  # [N] float32
    next_row: np.ndarray  # [N] int64, the reader's next decision, -1 where the log has none
    discount: np.ndarray  # [N] float32
    visit_end: np.ndarray  # [N] bool
    returned: np.ndarray  # [N] float32, of the visit that the decision belongs to
    expected: np.ndarray  # [N] float32, likewise
    retention: np.ndarray  # [N] float32, visits
    return_to_go: np.ndarray  # [N] float32

    def __len__(self) -> int:
        return len(self.time)

    def batch(self, rows: np.ndarray, successors: bool = False) -> Transitions:
        """The transitions of ``rows``; with ``successors`` also the next state and candidates, their own at the end."""
        slot, shown = self.slate.padded(rows)  # [B, K]
        next_state = next_candidates = None
        if successors:
            following = np.where(self.next_row[rows] >= 0, self.next_row[rows], rows)
            next_state, next_candidates = self._state(following), self._candidates(following)
        return Transitions(
            self._state(rows),
            self._candidates(rows),
            torch.from_numpy(np.where(shown, self.slate.values[slot], 0)),
            torch.from_numpy(shown),
            torch.from_numpy(self.feedback[slot] * shown[..., None]),
            torch.from_numpy(self.reward[rows]),
            torch.from_numpy(self.discount[rows]),
            torch.from_numpy(self.next_row[rows] < 0),
            torch.from_numpy(self.visit_end[rows]),
            torch.from_numpy(self.returned[rows]),
            torch.from_numpy(self.expected[rows]),
            torch.from_numpy(np.where(shown, np.log(self.propensity[slot]), 0.0).astype(np.float32)),
            torch.from_numpy(self.return_to_go[rows]),
            torch.from_numpy(self.retention[rows]),
            next_state,
            next_candidates,
        )

    def pool(self, rows: np.ndarray) -> Pool:
        """``rows`` with the pool of their hour: the articles of a full ranking."""
        hours, pairs = self._hourly
        pair, real = pairs.padded(np.searchsorted(hours, self.time[rows] // HOUR))  # [B, C]
        article = np.where(real, pairs.values[pair], -1)  # [B, C]
        candidates = self._encode(rows, article, pair)
        slot, shown = self.slate.padded(rows)
        clicked = shown & (self.feedback[slot, KINDS.index("click")] > 0)  # [B, K]
        at = np.where(clicked, self.candidate.offsets[rows][:, None] + self.slate.values[slot], 0)
        clicked_rows = np.where(clicked, self.candidate.values[at], 0)  # [B, K]
        readers = self.readers.take(rows)
        known = np.arange(readers.key.shape[1]) < readers.length[:, None]  # [B, H]
        read_rows = np.where(known, self.catalogue.rows_of_keys(readers.key), 0)  # [B, H]
        return Pool(
            self._state(rows),
            candidates,
            torch.from_numpy(_contains(clicked_rows, article)),
            torch.from_numpy(_contains(read_rows, article)),
            torch.from_numpy(article),
        )

    def pool_size(self, rows: np.ndarray) -> np.ndarray:
        """[B] articles in the pool of each row's hour."""
        hours, pairs = self._hourly
        return np.diff(pairs.offsets)[np.searchsorted(hours, self.time[rows] // HOUR)]

    def n_step(self, steps: int) -> "Decisions":
        """The same decisions, each with the rewards of ``steps`` of them and the successor behind these.

        ``reward`` and ``retention`` are discounted sums, ``discount`` the product; an open story counts as far as it
        was seen (Sutton and Barto 2018, section 7.1). Where a visit ends within these steps, ``returned`` and
        ``expected`` are the discounted sums over the visits that do, and ``visit_end`` says so; elsewhere they stay.
        """
        if steps == 1:
            return self
        ending = self.returned * self.visit_end, self.expected * self.visit_end
        own = np.stack([self.reward, self.retention, *ending]).astype(np.float64)
        sums, discount, row = own, self.discount.astype(np.float64), self.next_row  # [4, N], [N], [N]
        ends = self.visit_end
        for _ in range(steps - 1):
            further = row >= 0
            sums = np.where(further, sums + discount * own[:, row], sums)
            ends = ends | (further & self.visit_end[row])
            discount = np.where(further, discount * self.discount[row], discount)
            row = np.where(further, self.next_row[row], row)
        reward, retention, returned, expected = sums.astype(np.float32)
        return replace(
            self,
            reward=reward,
            retention=retention,
            discount=discount.astype(np.float32),
            next_row=row,
            visit_end=ends,
            returned=np.where(ends, returned, self.returned),
            expected=np.where(ends, expected, self.expected),
        )

    def numbered_by(self, catalogue: Catalogue) -> "Decisions":
        """The same decisions as a policy trained on ``catalogue`` must see them.

        Its articles keep their rows, with what this log knows of them; those that it lacks stand behind and are
        unknown by index.
        """
        merged = catalogue.updated(self.catalogue.articles)
        rows = merged.rows(self.catalogue.ids)
        candidate = self.candidate._replace(values=rows[self.candidate.values])
        stored = self.stored._replace(article=rows[self.stored.article])
        return replace(self, catalogue=merged, candidate=candidate, stored=stored)

    @cached_property
    def _hourly(self) -> tuple[np.ndarray, Ragged]:
        """The hours that have decisions, and the articles of each."""
        hours = np.unique(self.time // HOUR)
        start = np.searchsorted(self.stored.hour, hours)
        return hours, Ragged(self.stored.article, np.append(start, len(self.stored.hour)))

    def _state(self, rows: np.ndarray) -> State:
        encoded = transitions.state(
            self.readers.take(rows), self.time[rows], self.utc_offset[rows], self.catalogue, self.use_time
        )
        return State(*(x * _like(rows >= 0, x) for x in encoded))

    def _candidates(self, rows: np.ndarray) -> Candidates:
        at, real = self.candidate.padded(rows)
        return self._encode(rows, np.where(real, self.candidate.values[at], -1), self.count_row[at])

    def _encode(self, rows: np.ndarray, article: np.ndarray, pair: np.ndarray) -> Candidates:
        readers, now = self.readers.take(rows), self.time[rows]
        counts, as_of = self.stored.counts[pair], self.stored.as_of[pair]
        return transitions.candidates(article, readers, counts, as_of, now, self.catalogue, self.use_time)


def time_split(time: np.ndarray, validation: float, test: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows for training, validation and test: the last ``test`` share by time, and the ``validation`` share before.

    Decisions of one moment stay together, in the later part.
    """
    ordered, n = np.sort(time), len(time)
    starts = (n - round(share * n) for share in (validation + test, test))
    first, second = (ordered[start] if start < n else np.inf for start in starts)
    rows = np.arange(n)
    return rows[time < first], rows[(time >= first) & (time < second)], rows[time >= second]


def _contains(rows: np.ndarray, article: np.ndarray) -> np.ndarray:
    """[B, C] bool: whether each of ``article`` [B, C] stands in ``rows`` [B, K] of the same line."""
    return (article[:, :, None] == rows[:, None, :]).any(2)


def _like(mask: np.ndarray, tensor: Tensor) -> Tensor:
    return torch.from_numpy(mask).to(tensor.dtype).reshape(-1, *[1] * (tensor.dim() - 1))
