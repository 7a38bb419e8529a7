"""The candidates of a request from all live articles: those that the policy itself scores highest.

A policy's score is made of linear forms of an article's vector and demand (``newsrec.encoders.forms``). Both are kept
for all articles of a shelf, the newest first, so that what is live at a moment is one slice, and a request costs one
product and a partial sort. Up to ``exact`` live articles that is a search of all of them; beyond, an index of vectors
(``serving.approximate``) and the articles most in demand propose some thousands, of which the same forms choose.

Vectors and demand are renewed where articles are, each second, never in a request. Demand that is ``DEMAND_SECONDS``
old ranks as today's; a request that names another time has it computed. The shortlist is then scored by the policy as
always: what is kept here decides who is scored, and no score.
"""

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from newsrec.catalogue import NEVER, Catalogue
from newsrec.encoders.article import MOST_SHOWN
from newsrec.encoders.forms import FormTable, RequestForms
from newsrec.transitions import Readers
from serving.approximate import VectorIndex
from serving.offer import Offer, demand_numbers

if TYPE_CHECKING:
    from serving.recommend import Shelf

DEMAND_SECONDS = 300.0
"""Demand changes by hours; a request within this of the moment it was computed for takes it as it is."""
ENCODED = 50_000
"""Articles that are encoded at once."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RetrievalConfig:
    """How many articles are scored, and from where on a search may miss some."""

    size: int = 100
    """Articles of a shortlist, where more are live."""
    exact: int = 100_000
    """Live articles up to which all of them are looked at."""
    proposed: int = 2_000
    """Articles that the index and demand propose each by each form, beyond that."""

    def __post_init__(self) -> None:
        for name in ("size", "proposed"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}, expected 1 or more")
        if self.exact < self.size:
            raise ValueError(f"exact is {self.exact}, expected at least the {self.size} articles of a shortlist")


class Finder:
    """The articles of ``shelf`` as ``policy`` sees them at ``moment`` (microseconds); never changed once it is made.

    ``before`` is that of the shelf's last state: what has not changed since is taken from it, and it is not kept. What
    was published by ``oldest`` is expired, so the index needs it no more.
    """

    def __init__(
        self,
        policy: Any,
        shelf: "Shelf",
        moment: int,
        oldest: int,
        use_time: bool = True,
        config: RetrievalConfig | None = None,
        before: "Finder | None" = None,
    ) -> None:
        self.policy, self.moment, self.use_time = policy, moment, use_time
        before = before if before is not None and before.policy is policy else None
        self.config = config or RetrievalConfig()
        self.catalogue, self._counts, self._as_of = shelf.catalogue, shelf.counts, shelf.as_of
        catalogue = self.catalogue
        self._rows, self._negated_times = shelf.newest_first
        self._place = np.zeros(len(catalogue.ids), np.int64)  # row -> place among the newest first
        self._place[self._rows] = np.arange(len(self._rows))
        self.vectors, changed = _vectors(policy, catalogue, before)
        self._wanted = self._demand(self._rows, moment)  # [N, D]
        hidden = catalogue.hidden_at[self._rows]
        self._hidden = np.flatnonzero(hidden < NEVER)
        self._hidden_at = hidden[self._hidden]
        keys = catalogue.short_keys[self._rows]
        self._by_key = np.argsort(keys, kind="stable")
        self._keys = keys[self._by_key]
        self._offer: tuple[tuple[int, int, int], Offer] | None = None
        self.table = FormTable(policy, self.width) if before is None else before.table
        self._index = None
        if self.width and self.live(moment, oldest) > self.config.exact:
            self._index = self._indexed(before, changed, oldest)
        newest = self.vectors[torch.from_numpy(self._rows)]  # [N, W]
        self._known = torch.cat([newest, self._wanted], 1).T.contiguous()  # [W + D, N]: a product reads it in order

    @property
    def width(self) -> int:
        """Numbers in an article's vector; 0 for a policy that knows demand alone."""
        return self.vectors.shape[1]

    def live(self, now: int, oldest: int) -> int:
        """How many articles were published after ``oldest`` and by ``now``."""
        start, end = self._slice(now, oldest)
        return end - start

    def _slice(self, now: int, oldest: int) -> tuple[int, int]:
        """The places of what was published after ``oldest`` and by ``now``."""
        start, end = self._negated_times.searchsorted([-now, -oldest])
        return int(start), int(end)

    def offer(self, now: int, oldest: int, unhidden: int, size: int) -> Offer | None:
        """All articles that ``live`` counts but those withdrawn by ``unhidden``, the newest first.

        None where it counts more than ``size``. Kept until another moment is asked for: requests of one share the work.
        """
        asked = now, oldest, unhidden
        if (kept := self._offer) is None or kept[0] != asked or len(kept[1].rows) > size:
            start, end = self._slice(now, oldest)
            if end - start > size:
                return None
            rows = self._rows[start:end]
            rows = rows[self.catalogue.hidden_at[rows] > unhidden]
            vectors, demand = self.vectors.numpy()[rows], self._demand(rows, now).numpy()
            self._offer = kept = asked, Offer.of(rows, vectors, demand, self.catalogue)
        return kept[1]

    def find(
        self,
        forms: RequestForms,
        features: Readers,
        now: int,
        oldest: int,
        unhidden: int,
        barred: np.ndarray,
        size: int,
    ) -> np.ndarray:
        """Catalogue rows of a shortlist of up to ``size``, the newest first. [C] int64

        ``forms`` are the policy's for one request, ``features`` the reader's. Published after ``oldest`` and by
        ``now``, not withdrawn by ``unhidden`` (microseconds), none of the rows ``barred``.
        """
        start, end = self._slice(now, oldest)
        if end == start:
            return self._rows[:0]
        with torch.inference_mode():
            approximate = self._index is not None and end - start > self.config.exact
            places = self._proposed(forms, start, end) if approximate else slice(start, end)
            scores = self._scores(forms, features, now, places).numpy()
        if approximate:
            assert isinstance(places, np.ndarray)
            scores[np.isin(places, self._gone(barred, unhidden))] = -np.inf
            return self._rows[places[_best(scores, size)]]
        gone = self._gone(barred, unhidden) - start
        scores[gone[(gone >= 0) & (gone < len(scores))]] = -np.inf
        return self._rows[start + _best(scores, size)]

    def _gone(self, barred: np.ndarray, unhidden: int) -> np.ndarray:
        """The places of ``barred`` rows, of which 0 is no article, and of what is withdrawn by ``unhidden``."""
        return np.concatenate([self._place[barred[barred > 0]], self._hidden[self._hidden_at <= unhidden]])

    def _scores(self, forms: RequestForms, features: Readers, now: int, places: slice | np.ndarray) -> Tensor:
        """[n]: of the articles at ``places``, which rise."""
        rows, far = self._rows[places], self.use_time and abs(now - self.moment) > DEMAND_SECONDS * 1e6
        article, demand = torch.from_numpy(forms.article), torch.from_numpy(forms.demand)  # [F, W], [F, D]
        if isinstance(places, slice) and not far:
            values = torch.cat([article, demand], 1) @ self._known[:, places]  # [F, n]
        else:
            wanted = self._demand(rows, now) if far else self._wanted[places]  # [n, D]
            values = article @ self.vectors[torch.from_numpy(rows)].T + demand @ wanted.T
        values += torch.from_numpy(forms.level)[:, None]
        seen, times = self._shown(features)
        at = seen - places.start if isinstance(places, slice) else np.searchsorted(places, seen)
        inside = (at >= 0) & (at < len(rows))
        if not isinstance(places, slice):
            inside[inside] = places[at[inside]] == seen[inside]
        values[:, torch.from_numpy(at[inside])] += torch.from_numpy(forms.shown[:, None] * times[inside])
        return self.policy.combined(values.T)

    def _demand(self, rows: np.ndarray, now: int) -> Tensor:
        """[n, D] float32: of ``rows`` [n] at ``now``."""
        return torch.from_numpy(demand_numbers(rows, now, self.catalogue, self._counts, self._as_of, self.use_time))

    def _shown(self, features: Readers) -> tuple[np.ndarray, np.ndarray]:
        """Places of the articles that the reader was shown of late, and how often, as far as it counts. [n] each"""
        keys, times = np.unique(features.shown_key[0][features.shown_time[0] > 0], return_counts=True)
        first, last = (np.searchsorted(self._keys, keys, side) for side in ("left", "right"))
        found = last - first  # mostly 0 or 1; two articles may share a short key
        at = np.repeat(first, found) + np.arange(found.sum()) - np.repeat(found.cumsum() - found, found)
        return self._by_key[at], np.repeat(np.minimum(times, MOST_SHOWN), found).astype(np.float32)

    def _proposed(self, forms: RequestForms, start: int, end: int) -> np.ndarray:
        """The places among which the forms choose, rising: by each form the nearest and those most in demand."""
        assert self._index is not None
        count = self.config.proposed
        wanted = self._wanted[start:end].numpy() @ forms.demand.T  # [n, F]
        found = [start + _best(wanted[:, form], count) for form in range(wanted.shape[1])]
        near = self._index.search(forms.article, count)
        found.append(self._place[near[near < len(self._place)]])  # it may hold articles that are newer than this shelf
        places = np.unique(np.concatenate(found))
        return places[(places >= start) & (places < end)]

    def _indexed(self, before: "Finder | None", changed: np.ndarray, oldest: int) -> VectorIndex | None:
        """The index of the vectors that may still be shown, brought up to date from that of ``before``."""
        catalogue = self.catalogue
        servable = (catalogue.published_at > oldest) & (catalogue.hidden_at > self.moment)
        servable[0] = False
        index = before._index if before is not None else None
        try:
            if index is None:
                rows = np.flatnonzero(servable)
                return VectorIndex(rows, self.vectors[torch.from_numpy(rows)].numpy())
            index.update(changed[servable[changed]], self.vectors.numpy(), np.flatnonzero(servable))
        except ImportError:
            log.warning("%d articles are searched one by one: faiss is missing, install newsrec[large]", len(servable))
        return index


def _best(scores: np.ndarray, size: int) -> np.ndarray:
    """Rising places of the ``size`` largest of ``scores`` [n], of equal ones the first; minus infinity never."""
    if size < len(scores):
        least = np.partition(scores, len(scores) - size)[len(scores) - size]
        above, equal = np.flatnonzero(scores > least), np.flatnonzero(scores == least)
        found = np.sort(np.concatenate([above, equal[: size - len(above)]]))
        return found if least > -np.inf else found[scores[found] > -np.inf]
    return np.flatnonzero(scores > -np.inf)


def _vectors(policy: Any, catalogue: Catalogue, before: Finder | None) -> tuple[Tensor, np.ndarray]:
    """[N + 1, W]: of every catalogue row, and the rows that are not as ``before``. A row keeps its number for ever."""
    content, known = catalogue.content, 0
    changed = np.arange(len(content))
    if before is not None:
        known = len(before.vectors)
        same = catalogue.fingerprints[:known] == before.catalogue.fingerprints
        changed = np.concatenate([np.flatnonzero(~same), np.arange(known, len(content))])
    if not hasattr(policy, "article"):
        return torch.zeros(len(content), 0), changed
    with torch.inference_mode():
        width = policy.article(torch.zeros(1, dtype=torch.int64), torch.from_numpy(content[:1])).shape[1]
    vectors = torch.empty(len(content), width)
    if known:
        assert before is not None
        vectors[:known] = before.vectors
    with torch.inference_mode():
        for start in range(0, len(changed), ENCODED):
            rows = changed[start : start + ENCODED]
            index = torch.from_numpy(catalogue.index(rows))
            vectors[torch.from_numpy(rows)] = policy.article(index, torch.from_numpy(content[rows]))
    return vectors, changed
