"""The students that are measured, each trained once a run."""

import tempfile
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.results import ROOT
from benchmarks.titles.impressions import folder, known_before, mind_titles, read
from newsrec.encoders.text.distillation import StudentConfig, distil, save
from newsrec.encoders.text.student import Student
from newsrec.encoders.text.teacher import LEXICAL, MINILM, Teacher
from newsrec.encoders.text.vector_store import VectorStore

STORE = ROOT / "runs" / "titles"
"""Where the teacher's vectors are kept: 12,640 English titles take two minutes of a core, once."""
SEEDS = [1]
TEST_DAY = datetime(2019, 11, 14, tzinfo=UTC).timestamp() / 3600
"""Its first hour, counted since 1970."""


class Trained(NamedTuple):
    """A student as it is served."""

    student: Student
    agreement: float
    titles: int
    megabytes: float

    def figures(self) -> dict[str, float | int | str]:
        about = {"version": self.student.version, "titles": self.titles, "agreement": self.agreement}
        return about | {"megabytes": self.megabytes}


@lru_cache(maxsize=1)
def teacher() -> Teacher:
    return Teacher(MINILM)


@lru_cache(maxsize=2)
def english(quick: bool) -> Trained:
    """MiniLM's student of the titles of MIND and NeMig; in a quick run the built-in teacher's, of a few."""
    most = 300 if quick else None
    mind = mind_titles(folder("mind-5k"), "news.tsv", most)
    titles = [*mind.values(), *mind_titles(folder("nemig-en"), "news.tsv", most).values()]
    return _trained(titles, LEXICAL if quick else MINILM, quick)


@lru_cache(maxsize=2)
def chinese(quick: bool) -> Trained:
    """The built-in teacher's student of the Chinese titles that were read or shown before the test day."""
    path = folder("mind-5k")
    of = read(path, mind_titles(path, "news.zh.tsv"), 300 if quick else None)
    return _trained(list(known_before(of, TEST_DAY)), LEXICAL, quick)


@lru_cache(maxsize=2)
def of_these(titles: tuple[str, ...], quick: bool) -> Trained:
    """The built-in teacher's student of ``titles``."""
    return _trained(list(titles), LEXICAL, quick)


def minilm(titles: list[str]) -> np.ndarray:
    """[n, 384]: what the teacher itself makes of ``titles``, looked up where it is known."""
    return VectorStore(STORE, teacher().version).vectors(titles, teacher().encode)


def _trained(titles: list[str], name: str, quick: bool) -> Trained:
    config = StudentConfig(teacher=name, seed=SEEDS[0], epochs=1 if quick else StudentConfig.epochs)
    with tempfile.TemporaryDirectory() as directory:
        made = Path(directory) / "student"
        trained = distil(config, titles, STORE)
        save(trained, config, made)
        size = sum(path.stat().st_size for path in made.iterdir()) / 1e6
        return Trained(Student(made), trained.agreement, trained.titles, size)
