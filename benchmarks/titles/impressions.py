"""Real impressions whose candidates have titles, orders of them, and how two orders differ.

The candidates of an impression are those with a title; it is used where one of them was clicked and one was not. An
order's worth is the AUC within the impression, averaged; a difference is that of the same impressions, its interval
the middle 95 % of resamples of the readers.
"""

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.results import ROOT, Mean
from benchmarks.titles.korean import auc
from newsrec.datasets.mind import TIME_FORMAT

RESAMPLES, SEED = 2_000, 2
HALF_LIFE_HOURS = 24.0
PRIOR_CLICKS, PRIOR_SHOWN = 1.0, 20.0
"""The product's own click rate of a day: newsrec.features."""


class Impressions(NamedTuple):
    """n impressions over T titles, in order of their time (or of the file, where it has none)."""

    titles: list[str]
    reader: np.ndarray
    """[n] int64."""
    hours: np.ndarray
    """[n] float64 since 1970, or the impression's number."""
    read: np.ndarray
    """[R] int64: titles of the reads of all impressions."""
    read_offsets: np.ndarray
    """[n + 1] int64."""
    shown: np.ndarray
    """[S] int64: titles of the candidates."""
    clicked: np.ndarray
    """[S] bool."""
    offsets: np.ndarray
    """[n + 1] int64."""

    @property
    def row(self) -> np.ndarray:
        """[S] int64: the impression of each candidate."""
        return np.repeat(np.arange(len(self.reader)), np.diff(self.offsets))


def folder(name: str) -> Path:
    """Where the real log ``name`` is. Raises FileNotFoundError."""
    found = Path(os.environ.get("NEWSREC_DATA", ROOT.parent / "shared" / "data")) / name
    if not found.exists():
        raise FileNotFoundError(f"no log at {found}; set NEWSREC_DATA to a folder that holds {name}")
    return found


def read(path: Path, titles: dict[str, str], most: int | None = None) -> Impressions:
    """The impressions of ``behaviors.tsv`` in ``path``, up to ``most`` of them."""
    known = {name: number for number, name in enumerate(titles)}
    readers: dict[str, int] = {}
    rows = []
    for line in (path / "behaviors.tsv").read_text(encoding="utf-8").splitlines()[:most]:
        fields = line.split("\t")
        timed = len(fields) == 5
        when = datetime.strptime(fields[2], TIME_FORMAT).replace(tzinfo=UTC).timestamp() / 3600 if timed else len(rows)
        history, candidates = (field.split() for field in fields[-2:])
        shown = [(known[word[:-2]], word.endswith("-1")) for word in candidates if word[:-2] in known]
        reads = [known[name] for name in history if name in known]
        rows.append((when, readers.setdefault(fields[1], len(readers)), reads, shown))
    rows.sort(key=lambda row: row[0])
    return Impressions(
        list(titles.values()),
        np.array([row[1] for row in rows], np.int64),
        np.array([row[0] for row in rows], np.float64),
        np.array([title for row in rows for title in row[2]], np.int64),
        np.cumsum([0, *(len(row[2]) for row in rows)]),
        np.array([title for row in rows for title, _ in row[3]], np.int64),
        np.array([clicked for row in rows for _, clicked in row[3]], bool),
        np.cumsum([0, *(len(row[3]) for row in rows)]),
    )


def usable(of: Impressions) -> np.ndarray:
    """[n] bool: a candidate was clicked and one was not."""
    clicks = np.bincount(of.row, of.clicked, len(of.reader))
    return (clicks > 0) & (clicks < np.diff(of.offsets))


def by_content(vectors: np.ndarray, of: Impressions) -> np.ndarray:
    """[S]: mean product of each candidate's vector with those of the reads; 0 without reads. ``vectors`` [T, W]."""
    total = np.concatenate([np.zeros((1, vectors.shape[1])), np.cumsum(vectors[of.read], 0)])
    count = np.maximum(np.diff(of.read_offsets), 1)[:, None]
    profile = (total[of.read_offsets[1:]] - total[of.read_offsets[:-1]]) / count  # [n, W]
    return np.einsum("sw,sw->s", vectors[of.shown], profile[of.row])


def by_words(bags, of: Impressions) -> np.ndarray:  # type: ignore[no-untyped-def]
    """``by_content`` for sparse ``bags`` [T, V]."""
    from scipy import sparse

    count = np.diff(of.read_offsets)
    weight = np.repeat(1.0 / np.maximum(count, 1), count)
    profile = sparse.csr_matrix((weight, of.read, of.read_offsets), (len(count), bags.shape[0])) @ bags
    parts = np.array_split(np.arange(len(of.shown)), max(1, len(of.shown) // 5_000))
    sums = [np.asarray(bags[of.shown[p]].multiply(profile[of.row[p]]).sum(1)).ravel() for p in parts]
    return np.concatenate(sums)


def click_rate(of: Impressions) -> np.ndarray:
    """[S]: log of each candidate's click rate at that moment, from all impressions before, halved every day."""
    clicks, shown, since = np.zeros((3, len(of.titles)))
    result = np.empty(len(of.shown))
    for n, now in enumerate(of.hours):
        part = slice(of.offsets[n], of.offsets[n + 1])
        titles = of.shown[part]
        kept = np.exp2(-(now - since[titles]) / HALF_LIFE_HOURS)
        clicks[titles], shown[titles], since[titles] = clicks[titles] * kept, shown[titles] * kept, now
        result[part] = np.log((clicks[titles] + PRIOR_CLICKS) / (shown[titles] + PRIOR_SHOWN))
        clicks[titles] += of.clicked[part]
        shown[titles] += 1.0
    return result


def standardised(scores: np.ndarray, of: Impressions) -> np.ndarray:
    """[S]: mean 0 and standard deviation 1 within each impression; zeros where all are alike."""
    count = np.maximum(np.diff(of.offsets), 1)
    centred = scores - (np.bincount(of.row, scores, len(count)) / count)[of.row]
    spread = np.sqrt(np.bincount(of.row, centred**2, len(count)) / count)[of.row]
    return np.divide(centred, spread, out=np.zeros(len(scores)), where=spread > 1e-9)


def aucs(scores: np.ndarray, of: Impressions, rows: np.ndarray) -> np.ndarray:
    """[len(rows)]: of each impression in ``rows``."""
    parts = [slice(of.offsets[row], of.offsets[row + 1]) for row in rows]
    return np.array([auc(scores[p][of.clicked[p]], scores[p][~of.clicked[p]]) for p in parts])


def over_readers(values: np.ndarray, reader: np.ndarray) -> Mean:
    """The mean of ``values`` [n], impressions of ``reader`` [n], with the interval over resampled readers."""
    _, member = np.unique(reader, return_inverse=True)
    total, count = np.bincount(member, values), np.bincount(member).astype(float)
    draws = np.random.default_rng(SEED).multinomial(len(count), np.full(len(count), 1 / len(count)), RESAMPLES)
    low, high = np.quantile((draws @ total) / (draws @ count), [0.025, 0.975])
    return Mean(float(values.mean()), float(low), float(high))


def mind_titles(path: Path, file: str, most: int | None = None) -> dict[str, str]:
    """Article -> title, of ``news.tsv`` (MIND's or NeMig's) or of translated titles."""
    rows = [line.split("\t") for line in (path / file).read_text(encoding="utf-8").splitlines()]
    named = rows[0][0] == "nid"
    at = 1 if named or len(rows[0]) <= 3 else 3
    found = {row[0]: row[at].strip() for row in rows[named:] if len(row) > at and row[at].strip()}
    return dict(list(found.items())[:most])


def known_before(of: Impressions, end: float) -> Sequence[str]:
    """The titles that were read or shown before ``end`` (hours)."""
    before = int(np.searchsorted(of.hours, end))
    seen = np.union1d(of.read[: of.read_offsets[before]], of.shown[: of.offsets[before]])
    return [of.titles[title] for title in seen]
