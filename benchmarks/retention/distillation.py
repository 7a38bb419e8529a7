"""A small student of the best long-term policy: what of its value is left at a quarter of the parameters?

Value is active days a reader. Most of them come whatever is shown, so the share of what the teacher *wins* stands among
the figures.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.results import Bar, Part
from benchmarks.retention import bars
from benchmarks.retention.bars import Played
from benchmarks.retention.contenders import Choice, study
from benchmarks.retention.size import Size
from newsrec import artifact
from newsrec.compare.jobs import plan
from newsrec.compare.study import BEHAVIOUR, Study
from newsrec.compare.work import ARTEFACT

TEACHER, STUDENT = "teacher", "student"
SMALL = {"width": 16, "layers": 1, "heads": 1}
VALUE, PARAMETERS = 0.95, 0.25


def taught(size: Size, choice: Choice) -> Study:
    teacher = choice.tables[choice.best]
    student = {"policy": "transformer", "model": SMALL, "teacher": TEACHER, "training": teacher["training"]}
    contenders = {TEACHER: teacher, STUDENT: {**student, "slate": teacher.get("slate", {})}}
    return study(size, contenders, size.further_seeds, behaviour=True, baseline=BEHAVIOUR)


def parameters(found: Study, folder: Path) -> dict[str, float]:
    """Contender -> how many numbers its artefact holds, of the first seed."""
    trained = plan(found).trainings
    artefacts = {name: trained[name, found.seeds[0]].at(folder) / ARTEFACT for name in (TEACHER, STUDENT)}
    loaded: dict[str, Any] = {name: artifact.load(where).policy for name, where in artefacts.items()}
    return {name: float(sum(p.numel() for p in policy.parameters())) for name, policy in loaded.items()}


def measured(choice: Choice, played: Played, sizes: Mapping[str, float]) -> Part:
    kept, part = bars.compared(played, STUDENT, TEACHER).lift, sizes[STUDENT] / sizes[TEACHER]
    won = bars.share(played, STUDENT, BEHAVIOUR, TEACHER, BEHAVIOUR)
    figures = bars.figures(played, TEACHER) | {"teacher": choice.best, "parameters": sizes, "share_of_lift": won}
    value, low, high = (1.0 + end for end in kept)
    return Part(
        {"distillation": figures},
        [
            Bar(f"active days of a student of {choice.best} as a share of its teacher's", value, (low, high),
                f"{VALUE:g} or more, interval too", low >= VALUE),
            Bar("parameters of the student as a share of its teacher's", part, None, f"{PARAMETERS:g} or less",
                part <= PARAMETERS),
        ],
    )  # fmt: skip


def protocol(size: Size) -> str:
    return (
        f"The student is a transformer of width {SMALL['width']} and one layer, taught by the teacher's scores on the "
        f"teacher's log, {size.epochs} epochs. Played to {size.readers:,} readers a seed."
    )
