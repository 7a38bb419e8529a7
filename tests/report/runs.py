"""Folders of runs and studies as the pipeline and ``newsrec compare`` leave them, small and with texts that bite."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from newsrec.evaluation.comparison import ComparisonConfig, compare
from newsrec.evaluation.gate import GateConfig, decide
from newsrec.evaluation.intervals import Interval
from newsrec.evaluation.shipping import ledger
from newsrec.evaluation.shipping.bounds import Bound
from newsrec.evaluation.shipping.plan import Plan
from newsrec.evaluation.shipping.verdict import Verdict
from tests.evaluation.rankings import noisy, ranking

SCRIPT = "<script>alert('title')</script>"
LONG = "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft " * 2
POLICIES = ("popularity", "transformer", "a_policy_with_a_name_that_no_phone_has_room_for_in_one_line_0123456789")


def comparison() -> dict[str, Any]:
    """Three policies, the second clearly best."""
    means = dict(zip(POLICIES, (0.2, 0.4, 0.25), strict=True))
    rankings = {name: ranking(noisy(mean, i), lists=i) for i, (name, mean) in enumerate(means.items())}
    found = compare(rankings, ["popularity"], ComparisonConfig(draws=50))
    chosen = {name: found["policies"][name]["ndcg_at_10"] for name in POLICIES}
    lifts = {name: diff["metrics"]["ndcg_at_10"] for name, diff in found["differences"]["popularity"].items()}
    selection = {"winner": "transformer", "metric": "ndcg_at_10", "protocol": found["protocol"]}
    models = {name: {"policy": name, "version": f"version{i}"} for i, name in enumerate(POLICIES)}
    return found | {
        "models": models,
        "notes": [f"A note {SCRIPT}"],
        "selection": selection | {"policies": chosen, "lifts": lifts},
    }


def slices(found: dict[str, Any]) -> dict[str, Any]:
    figures = {name: found["policies"][name]["mrr"] for name in POLICIES}
    lifts = {name: diff["metrics"]["mrr"] for name, diff in found["differences"]["popularity"].items()}
    part = {"meaning": "what it means", "decisions": 20, "readers": 1, "policies": figures, "lifts": lifts}
    nothing = {"mean": 0.5, "low": None, "high": None}
    alone = part | {"policies": dict.fromkeys(POLICIES, nothing), "lifts": dict.fromkeys(lifts, nothing)}
    groups = {
        "readers": [part | {"slice": "new readers"}, alone | {"slice": "heavy readers"}],
        "categories": [part | {"slice": f"category {SCRIPT}"}],
    }
    return {"format": 1, "metric": "ndcg_at_10", "baseline": "popularity", "confidence": 0.95, "groups": groups}


def examples() -> dict[str, Any]:
    move = {"click_value": 0.1, "long_term_value": 0.2, "rank": 1, "click_rank": 22}
    first = {"title": SCRIPT, "category": None, "hours_old": 3.21, "logged": "shown at 2, clicked"}
    second = {"title": LONG, "category": "news", "hours_old": None, "logged": ""}
    slates = {
        "transformer": [
            first | {"reads": [{"title": f"read {SCRIPT}", "share": 0.25}], "move": move},
            second | {"reads": [], "move": None},
        ],
        "popularity": [second | {"reads": [], "move": None}],
    }
    notes = {"transformer": None, "popularity": "This policy does not look at what a reader has read."}
    told = {name: {"note": notes[name], "articles": articles} for name, articles in slates.items()}
    one = {"reader": "new readers", "meaning": "nothing read before the decision", "reads": 0, "candidates": 100}
    one |= {"time": "2026-01-02T03:04+00:00", "slates": told}
    about = {"format": 1, "seed": 0, "policies": list(slates), "choice": "Drawn by chance (seed 0)."}
    return about | {"left_out": ["No decision of heavy readers is there."], "examples": [one]}


def shipping(decision: str = "mix") -> Verdict:
    """A verdict of the gate that plans."""
    bounds = (
        Bound("active_days", 0.3, -0.1, 0.7, 0.0, 0.1, 0.2, 1.0, 900, True),
        Bound("click_rate", 0.01, 0.002, 0.02, -0.002, 0.002, 0.004, 0.1, 900, True),
        Bound("hides", -0.5, -0.7, -0.3, -0.1, 0.1, 0.1, 1.0, 900, True),
    )
    plan = Plan(0.125, "click_rate", 20_000, 17, 1234.5, 56.7) if decision == "mix" else None
    sentence = f"{decision} 12.5% of dqn into {SCRIPT}: the gain is unsure"
    reasons = ("a reason of its own",)
    known = {"objective": "active_days", "bounds": bounds, "plan": plan, "more_readers": 400, "readers": 900}
    weights = {"effective_readers": 321.4, "largest_weight": 12.0, "mean_weight": Interval(1.02, 0.9, 1.2)}
    return Verdict("dqn", "incumbent", decision, sentence, reasons, **known, **weights, risk=0.05)


def write_verdict(folder: Path, **files: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, found in files.items():
        (folder / f"{name}.json").write_text(json.dumps(found))
    return folder


def run(root: Path, name: str = "newsrec-training-1", **files: Any) -> Path:
    """KFP's folder of a run below ``root``/pipelines, with everything; ``files`` replace what the verdict holds."""
    found = comparison()
    verdict = decide(found, "transformer", None, GateConfig()).to_mapping()
    held = {"verdict": verdict, "comparison": found, "slices": slices(found), "examples": examples()}
    folder = root / "pipelines" / "request" / name
    write_verdict(folder / "gate" / "verdict", **{k: v for k, v in (held | files).items() if v is not None})
    return folder


def write_ledger(root: Path, verdicts: int = 2) -> Path:
    path = root / "releases" / "verdicts.jsonl"
    for i in range(verdicts):
        moment = datetime(2026, 1, 1 + i, tzinfo=UTC)
        ledger.append(path, shipping("refuse" if i % 2 else "mix"), f"run {i}", moment)
    return path


def results(seeds: int = 2) -> dict[str, Any]:
    """Of a study with two worlds of different elasticity."""

    def contrast(lift: float) -> dict[str, Any]:
        ends = {"lift": lift, "lift_low": lift - 0.05, "lift_high": lift + 0.05}
        return {
            "difference": lift * 8,
            "low": lift * 8 - 0.4,
            "high": lift * 8 + 0.4,
            **ends,
            "seeds": 2,
            "readers": 80,
        }

    def world(lift: float) -> dict[str, Any]:
        level = {"value": 8.0, "low": 7.5, "high": 8.5}
        levels = {name: {"active_days": level, "visits": level, "coverage": level} for name in ("base", "better")}
        return {"levels": levels, "contrasts": {"better": contrast(lift)}, "headroom": {"better": None}}

    points = [{"elasticity": e, "contrast": contrast(lift)} for e, lift in ((0.0, -0.01), (1.5, 0.1))]
    study = {"baseline": "base", "seeds": list(range(1, seeds + 1)), "readers": 40, "days": 28}
    study |= {"log": {"readers": 80, "days": 3, "elasticity": 1.5}}
    curves = {"better": {"points": points, "monotone": True, "rises": True}}
    return {"simulated": True, "study": study, "worlds": {"nominal": world(0.1)}, "curves": curves}


def write_study(root: Path, found: dict[str, Any] | None = None) -> Path:
    (root / "report").mkdir(parents=True)
    (root / "report" / "results.json").write_text(json.dumps(found or results()))
    return root


def spread(seed: int, readers: int = 50) -> np.ndarray:
    """[readers] active days of 28."""
    return np.random.default_rng(seed).integers(0, 29, readers).astype(float)
