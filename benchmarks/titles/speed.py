"""How many titles a second student and teacher turn into vectors on one core, and how large the student is."""

import time
from dataclasses import dataclass

import numpy as np
import torch

from benchmarks.results import Bar, Part
from benchmarks.titles import students
from benchmarks.titles.impressions import folder, mind_titles

SEEDS: list[int] = []
MOST_MEGABYTES, LEAST_FACTOR = 15.0, 10.0


@dataclass(frozen=True)
class Size:
    """How much is encoded."""

    quick: bool = False
    titles: int = 256
    rounds: int = 5


FULL, QUICK = Size(), Size(quick=True, titles=8, rounds=1)


def protocol(size: Size) -> str:
    return (
        f"{size.rounds} rounds of {size.titles} other titles of MIND-5k each, teacher and student in turns on the same "
        f"ones; seconds of processor time of one thread, the tokens of the titles included; the median round counts."
    )


def measure(size: Size) -> Part:
    torch.set_num_threads(1)
    trained, teacher = students.english(size.quick), students.teacher()
    titles = list(mind_titles(folder("mind-5k"), "news.tsv").values())
    teacher.encode(titles[-8:])
    trained.student.vectors(titles[-8:])
    rates = []
    for number in range(size.rounds):
        part = titles[number * size.titles : (number + 1) * size.titles]
        rates.append([_per_second(encode, part) for encode in (teacher.encode, trained.student.vectors)])
    slow, fast = np.array(rates).T
    factor, megabytes = float(np.median(fast / slow)), trained.megabytes
    ends = (float((fast / slow).min()), float((fast / slow).max()))
    figures = {"teacher": float(np.median(slow)), "student": float(np.median(fast)), "factor": factor}
    return Part(
        {"speed": figures | {"megabytes": megabytes}},
        [
            Bar("titles a second, student over teacher (range of rounds)", factor, ends, f">= {LEAST_FACTOR:g}",
                factor >= LEAST_FACTOR),
            Bar("student with int8 table, MB", megabytes, None, f"<= {MOST_MEGABYTES:g}", megabytes <= MOST_MEGABYTES),
        ],
    )  # fmt: skip


def _per_second(encode, titles: list[str]) -> float:  # type: ignore[no-untyped-def]
    begun = time.process_time()
    encode(titles)
    return len(titles) / (time.process_time() - begun)
