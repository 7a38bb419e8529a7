"""Korean titles: are two on one story nearer to each other than two that only share words?

The measure is the AUC: the probability that the similarity of a title and its story told in different words is above
that of a title and an unrelated one, over all combinations of the two kinds of pairs; a tie counts half. The unrelated
are of two kinds: those that share words, which is hard, and the other stories' titles, which is easy. The interval is
the middle 95 % of 2,000 bootstrap resamples of the stories. Protocol and titles are older than any model.
"""

import csv
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

TITLES = Path(__file__).with_name("korean.tsv")
RESAMPLES, SEED = 2_000, 1
Encode = Callable[[Sequence[str]], np.ndarray]
"""n titles -> [n, W], of length 1 each; their product is the similarity."""


class Story(NamedTuple):
    """Three titles."""

    topic: str
    title: str
    same_story: str
    """The story of ``title`` in different words."""
    shares_words: str
    """Another story in words of ``title``."""


class Similarities(NamedTuple):
    """Of S stories."""

    same: np.ndarray
    """[S] of title and same_story."""
    sharing: np.ndarray
    """[S] of title and shares_words."""
    other: np.ndarray
    """[S, S - 1] of title and the same_story of each other story."""


class Figure(NamedTuple):
    """An AUC and the ends of its 95 % interval."""

    value: float
    low: float
    high: float


def stories() -> list[Story]:
    with TITLES.open(encoding="utf-8") as file:
        return [Story(**row) for row in csv.DictReader(file, delimiter="\t")]


def similarities(encode: Encode, of: Sequence[Story]) -> Similarities:
    """What ``encode`` says of the three kinds of pairs."""
    title, same, sharing = (encode([story[column] for story in of]) for column in (1, 2, 3))
    cross = title @ same.T  # [S, S]
    others = cross[~np.eye(len(of), dtype=bool)].reshape(len(of), -1)
    return Similarities(np.diag(cross).copy(), (title * sharing).sum(1), others)


def auc(related: np.ndarray, unrelated: np.ndarray) -> float:
    """Probability that one of ``related`` is above one of ``unrelated``; a tie counts half."""
    ordered = np.sort(unrelated.ravel())
    below, up_to = (np.searchsorted(ordered, related, side) for side in ("left", "right"))
    return float((below + up_to).mean() / (2 * len(ordered)))


def figures(found: Similarities) -> dict[str, Figure]:
    """The AUC against both kinds of unrelated pairs, each with its interval over stories."""
    drawn = np.random.default_rng(SEED).integers(len(found.same), size=(RESAMPLES, len(found.same)))
    result = {}
    for name, unrelated in (("sharing words", found.sharing), ("other stories", found.other)):
        resampled = [auc(found.same[rows], unrelated[rows]) for rows in drawn]
        low, high = np.quantile(resampled, [0.025, 0.975])
        result[name] = Figure(auc(found.same, unrelated), float(low), float(high))
    return result
