"""MIND-5k with Chinese titles: do a student's vectors order the articles of a new day?

Trained on what was known before 14 November 2019, tested on that day. *Content* is the mean cosine of a candidate to
the reader's reads, and a title is enough for it. *Content and click rate* adds what readers have done with the article
up to the moment of the impression; both are standardised within the impression and weigh the same, so no weight is
fitted to anything.
"""

from dataclasses import dataclass

import numpy as np

from benchmarks.results import Bar, Mean, Part
from benchmarks.titles import lexical, students
from benchmarks.titles.impressions import (
    aucs,
    by_content,
    by_words,
    click_rate,
    folder,
    mind_titles,
    over_readers,
    read,
    standardised,
    usable,
)
from newsrec.encoders.text import hashed

SEEDS = students.SEEDS


@dataclass(frozen=True)
class Size:
    """How much is read."""

    quick: bool = False


FULL, QUICK = Size(), Size(quick=True)


def protocol(size: Size) -> str:
    return (
        "Impressions of 14 November 2019 with a clicked and an unclicked candidate among those with a Chinese title; "
        "AUC within the impression, differences paired, 2,000 resamples of readers. The student knows the titles that "
        "were read or shown before that day; character TF-IDF weighs its characters by all titles."
    )


def measure(size: Size) -> Part:
    path = folder("mind-5k")
    of = read(path, mind_titles(path, "news.zh.tsv"), 600 if size.quick else None)
    rows = np.flatnonzero(usable(of) & (of.hours >= students.TEST_DAY))
    trained = students.chinese(size.quick)
    content, rate = by_content(trained.student.vectors(of.titles), of), click_rate(of)
    scores = {
        "character TF-IDF": by_words(lexical.bags(of.titles), of),
        "hashed vectors": by_content(hashed.vectors(of.titles, [""] * len(of.titles)), of),
        "student": content,
        "click rate": rate,
        "student and click rate": standardised(content, of) + standardised(rate, of),
    }
    found = {name: aucs(score, of, rows) for name, score in scores.items()}
    figures = {name: over_readers(values, of.reader[rows])._asdict() for name, values in found.items()}

    def against(name: str, other: str) -> Mean:
        return over_readers(found[name] - found[other], of.reader[rows])

    mixed, alone = against("student and click rate", "character TF-IDF"), against("student", "character TF-IDF")
    added = against("student and click rate", "click rate")
    hashes = against("student", "hashed vectors")
    return Part(
        {
            "chinese": figures
            | {"impressions": len(rows), "readers": len(np.unique(of.reader[rows])), "distilled": trained.figures()}
        },
        [
            Bar("MIND-5k zh, AUC: student and click rate less TF-IDF", mixed.value, mixed.interval, "above 0",
                mixed.low > 0.0),
            Bar("MIND-5k zh, AUC: student alone less TF-IDF", alone.value, alone.interval, "above 0", alone.low > 0.0),
            Bar("MIND-5k zh, AUC: what the student adds to the click rate", added.value, added.interval, "above 0",
                added.low > 0.0),
            Bar("MIND-5k zh, AUC: student less hashed vectors", hashes.value, hashes.interval, "above 0",
                hashes.low > 0.0),
        ],
    )  # fmt: skip
