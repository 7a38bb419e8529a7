"""The Korean table: students without a Korean title, MiniLM, character TF-IDF, hashed vectors, by one protocol."""

from dataclasses import dataclass

import numpy as np

from benchmarks.results import Part
from benchmarks.titles import korean, lexical, students
from benchmarks.titles.korean import Encode, figures, similarities, stories
from newsrec.encoders.text import hashed

SEEDS = [korean.SEED]


@dataclass(frozen=True)
class Size:
    """What is compared."""

    quick: bool = False


FULL, QUICK = Size(), Size(quick=True)


def protocol(size: Size) -> str:
    return (
        f"{len(stories())} stories: AUC of one story told in different words against an unrelated title that shares "
        f"words, and against the other stories; {korean.RESAMPLES:,} resamples of stories. No bar: there is no Korean "
        f"corpus to learn from. 'Student of these titles' learnt the table's own titles, and no pairs."
    )


def measure(size: Size) -> Part:
    titles = [title for story in stories() for title in story[1:]]
    bags = lexical.bags(titles)
    row = {title: number for number, title in enumerate(titles)}
    encoders: dict[str, Encode] = {
        "character TF-IDF": lambda texts: bags[[row[text] for text in texts]].toarray(),
        "hashed vectors": lambda texts: hashed.vectors(texts, [""] * len(texts)),
        "student of Chinese titles": students.chinese(size.quick).student.vectors,
        "student of these titles": students.of_these(tuple(titles), size.quick).student.vectors,
    }
    if not size.quick:
        encoders["MiniLM"] = lambda texts: students.minilm(list(texts))
        encoders["student of MiniLM"] = students.english(size.quick).student.vectors
    found = {}
    for name, encode in encoders.items():
        near = similarities(encode, stories())
        means = {"same story": near.same, "sharing words": near.sharing, "other stories": near.other}
        found[name] = {"auc": {against: auc._asdict() for against, auc in figures(near).items()}}
        found[name] |= {"mean cosine": {kind: float(np.mean(values)) for kind, values in means.items()}}
    return Part({"korean": found}, [])
