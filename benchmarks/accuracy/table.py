"""The table of rankers for prose, made from the file of results."""

import json
from collections.abc import Mapping
from pathlib import Path
from statistics import mean
from typing import Any

PUBLISHED = {"bpr": ".442", "lightgcn": ".420"}
"""Of Microsoft's Recommenders by the same protocol; its best is BiVAE with .475."""
NAMES = {"ease": "EASE", "als": "ALS", "bpr": "BPR", "lightgcn": "LightGCN"}


def to_markdown(path: Path) -> str:
    """All three parts of the results at ``path``, with protocol and command; prose is held to it."""
    read = json.loads(path.read_text(encoding="utf-8"))
    figures, protocol = read["figures"], read["protocol"]
    machine = read["machine"]
    run = f"`{read['command']}`, {machine['hours_of_a_core']} hours of a core, {machine['processor']}."
    return "\n\n".join(
        (
            protocol["collaborative"],
            rankers(figures["collaborative"]),
            protocol["sequences"],
            sequences(figures["sequences"]),
            protocol["scale"],
            scale(figures["scale"]),
            run + "\n",
        )
    )


def rankers(found: Mapping[str, Mapping[str, Mapping[str, list[float]]]]) -> str:
    """nDCG@10 of each contender: the mean of the seeds, the least and the most of them."""
    rows = [("nDCG@10", "ours", "implicit, beside", "published"), ("---", "---:", "---:", "---:")]
    for name, seeds in found["ours"].items():
        beside = found["peers"].get(f"implicit {name}")
        told = "" if beside is None else _of_seeds(beside["test"])
        rows.append((NAMES[name], _of_seeds(seeds["test"]), told, PUBLISHED.get(name, "")))
    return _table(rows)


def sequences(found: Mapping[str, Mapping[str, Any]]) -> str:
    """nDCG@10 and time of SASRec, ours and RecTools'."""
    rows = [("SASRec", "nDCG@10", "CPU s to train"), ("---", "---:", "---:")]
    for name, title in (("ours", "ours"), ("rectools", "RecTools")):
        rows.append((title, _of_interval(found[name]["ndcg_at_10"]), f"{found[name]['cpu']:,.0f}"))
    share = found["ours"]["cpu"] / found["rectools"]["cpu"]
    rows.append(("difference, share of the time", _of_interval(found["difference"]), f"{share:.2f}"))
    return _table(rows)


def scale(found: Mapping[str, Any]) -> str:
    """Seconds of EASE and of a turn of ALS, ours and implicit's."""
    rows = [("CPU s", "ours", "implicit"), ("---", "---:", "---:")]
    rows.append(("EASE, fitted", f"{found['ease']['cpu']:.0f} ({found['memory_gib']:.1f} GiB)", ""))
    turns = (min(turn["cpu"] for turn in found["als"]), min(found["implicit"]["cpu"]))
    rows.append(("ALS, one turn", *(f"{turn:.2f}" for turn in turns)))
    rows.append(("ALS, its loss", *(f"{loss:.4g}" for loss in (found["loss"], found["implicit"]["loss"]))))
    return _table(rows)


def _of_seeds(values: list[float]) -> str:
    return f"{_short(mean(values))} [{_short(min(values))}, {_short(max(values))}]"


def _of_interval(found: Mapping[str, Any]) -> str:
    return f"{_short(found['value'])} [{_short(found['low'])}, {_short(found['high'])}]"


def _short(value: float) -> str:
    return f"{value:.4f}".replace("0.", ".", 1)


def _table(rows: list[tuple[str, ...]]) -> str:
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)
