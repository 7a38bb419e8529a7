"""What a page is made of: the files that a run of the pipeline and a simulated study leave, and where they stand.

A run is KFP's folder of it (with gate/verdict), the folder above all runs on this machine (of which the latest is
taken), or the verdict's folder alone. A study is the ``--out`` of ``newsrec compare``, or report/ in it.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from newsrec.config import InvalidConfig
from newsrec.evaluation.shipping import ledger as verdicts
from newsrec.evaluation.shipping.ledger import Ledger

VERDICT, COMPARISON, SLICES, EXAMPLES, RESULTS = (
    f"{name}.json" for name in ("verdict", "comparison", "slices", "examples", "results")
)
LEDGER = "verdicts.jsonl"
"""What ``newsrec.gating`` calls it in the folder of the releases."""
LEVELS_UP = 5
"""How far above a run the folder of releases is looked for."""


class NothingToReport(InvalidConfig):
    """A folder that is neither a run nor a study, or a file in it that cannot be read; the message is one sentence."""


@dataclass(frozen=True)
class Sources:
    """Parsed JSON; None or empty where there is none."""

    name: str
    """Of the run or study, for the title."""
    verdict: dict[str, Any] | None = None
    comparison: dict[str, Any] | None = None
    slices: dict[str, Any] | None = None
    examples: dict[str, Any] | None = None
    ledger: Ledger = field(default_factory=lambda: Ledger((), ()))
    study: dict[str, Any] | None = None
    """results.json of a study."""
    plays: Path | None = None
    """Its folder, where its plays are still there."""


def gather(run: Path, study: Path | None = None, ledger: Path | None = None) -> Sources:
    """What ``run``, itself a run or a study, holds, with another ``study`` and a ``ledger`` of verdicts beside it.

    Raises NothingToReport.
    """
    verdict = find_verdict(run)
    own = _find_results(run)
    if verdict is None and own is None:
        what = "no such folder" if not run.is_dir() else "neither gate/verdict/verdict.json nor report/results.json"
        raise NothingToReport(f"{run} holds {what}; expected a run of the training pipeline or a study of compare")
    results = own
    if study is not None:
        results = _find_results(study)
        if results is None:
            raise NothingToReport(f"{study} holds no report/results.json; expected the --out of newsrec compare")
    if ledger is not None and not ledger.is_file():
        raise NothingToReport(f"{ledger} is no file; expected the verdicts.jsonl of a folder of releases")
    found: dict[str, Any] = {}
    if verdict is not None:
        found = {"verdict": _read(verdict / VERDICT), **_beside(verdict)}
        ledger = ledger or _find_ledger(verdict)
    if ledger is not None:
        found["ledger"] = verdicts.read(ledger)
    if results is not None:
        found |= {"study": _read(results), "plays": _plays(results)}
    return Sources(_name(run, verdict, own), **found)


def find_verdict(run: Path) -> Path | None:
    """The folder of the verdict of ``run``, of the latest one where there are several."""
    for folder in (run, run / "verdict", run / "gate" / "verdict"):
        if (folder / VERDICT).is_file():
            return folder
    found = [path.parent for path in run.glob(f"pipelines/*/*/gate/verdict/{VERDICT}")]
    return max(found, key=lambda folder: (folder / VERDICT).stat().st_mtime, default=None)


def _beside(verdict: Path) -> dict[str, Any]:
    """The comparison and what else the evaluation found; older verdicts lack it, their evaluation may have it."""
    evaluation = verdict.parent.parent / "evaluate"
    places = {
        "comparison": (verdict / COMPARISON, evaluation / "metrics"),
        "slices": (verdict / SLICES, evaluation / "report" / SLICES),
        "examples": (verdict / EXAMPLES, evaluation / "report" / EXAMPLES),
    }
    first = {name: next((path for path in paths if path.is_file()), None) for name, paths in places.items()}
    return {name: _read(path) for name, path in first.items() if path is not None}


def _find_results(study: Path) -> Path | None:
    return next((path for path in (study / "report" / RESULTS, study / RESULTS) if path.is_file()), None)


def _plays(results: Path) -> Path | None:
    folder = results.parent.parent
    return folder if results.parent.name == "report" and (folder / "play").is_dir() else None


def _find_ledger(verdict: Path) -> Path | None:
    """The verdicts of the releases beside the run, where they are on this machine."""
    above = list(verdict.absolute().parents)[:LEVELS_UP]
    return next((path for folder in above if (path := folder / "releases" / LEDGER).is_file()), None)


def _name(run: Path, verdict: Path | None, results: Path | None) -> str:
    """``newsrec-training-2026-...``, or the name of the study's folder."""
    folder = verdict.absolute() if verdict is not None else run.absolute()
    if verdict is not None and folder.name == "verdict" and folder.parent.name == "gate":
        return folder.parent.parent.name
    if verdict is None and results is not None and folder.name == "report":
        return folder.parent.name
    return folder.name


def _read(path: Path) -> dict[str, Any]:
    """Raises NothingToReport for a file that holds no JSON object."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise NothingToReport(f"{path} cannot be read ({error}); run again what wrote it") from None
    if not isinstance(found, dict):
        raise NothingToReport(f"{path} holds a {type(found).__name__}; expected a JSON object: run again what wrote it")
    return found
