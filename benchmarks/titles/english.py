"""English titles: what a student loses of its teacher on MIND-5k, and NeMig, where content says next to nothing.

NeMig is the null check: its readers clicked without regard to what they had read, so whoever finds a gain there has
found something that is not there. It has no clock, so there is no click rate of the moment either.
"""

from dataclasses import dataclass

import numpy as np

from benchmarks.results import Bar, Part
from benchmarks.titles import lexical, students
from benchmarks.titles.impressions import aucs, by_content, by_words, folder, mind_titles, over_readers, read, usable

SEEDS = students.SEEDS


@dataclass(frozen=True)
class Size:
    """How much is read."""

    quick: bool = False


FULL, QUICK = Size(), Size(quick=True)


def protocol(size: Size) -> str:
    return (
        "Mean cosine of a candidate's title to those of the reads. MIND-5k: all six days, for no click is learnt from; "
        "impressions with a clicked and an unclicked candidate among those with an English title, and a read with one. "
        "NeMig EN: all impressions. AUC within the impression, differences paired, 2,000 resamples of readers."
    )


def measure(size: Size) -> Part:
    trained = students.english(size.quick)
    figures: dict = {"distilled": trained.figures()}
    bars = []
    for name, log in (("MIND-5k en", "mind-5k"), ("NeMig en", "nemig-en")):
        path = folder(log)
        of = read(path, mind_titles(path, "news.tsv"), 1_000 if size.quick else None)
        rows = np.flatnonzero(usable(of) & (np.diff(of.read_offsets) > 0))
        scores = {"character TF-IDF": by_words(lexical.bags(of.titles), of)}
        scores["student"] = by_content(trained.student.vectors(of.titles), of)
        if not size.quick:
            scores["MiniLM"] = by_content(students.minilm(of.titles), of)
        found = {what: aucs(score, of, rows) for what, score in scores.items()}
        reader = of.reader[rows]
        figures[name] = {what: over_readers(values, reader)._asdict() for what, values in found.items()}
        figures[name] |= {"impressions": len(rows), "readers": len(np.unique(reader))}
        if log == "mind-5k" and "MiniLM" in found:
            lost = over_readers(found["student"] - found["MiniLM"], reader)
            bars.append(Bar(f"{name}, AUC: student less its teacher", lost.value, lost.interval, "reported", True))
        if log == "nemig-en":
            gain = over_readers(found["student"] - found["character TF-IDF"], reader)
            chance = over_readers(found["student"] - 0.5, reader)
            figures[name] |= {"above chance": chance._asdict()}
            bars.append(
                Bar(f"{name}, AUC: student less TF-IDF", gain.value, gain.interval, "no gain: reaches 0 or below",
                    gain.low <= 0.0)
            )  # fmt: skip
    return Part({"english": figures}, bars)
