"""An experiment from the folder of its log to files: the figures as JSON, the verdict as Markdown."""

import json
import math
from pathlib import Path
from typing import Any

from newsrec import config as configs
from newsrec import events
from newsrec.config import InvalidConfig
from newsrec.evaluation.abtest.analysis import Analysis, analyse
from newsrec.evaluation.abtest.comparison import Comparison
from newsrec.evaluation.abtest.config import ExperimentConfig
from newsrec.evaluation.abtest.effects import Effect
from newsrec.evaluation.abtest.report import remarks, to_mapping
from newsrec.files import write_whole


def analyse_to(log: str | Path, until: int, config: str, metrics: str | Path, report: str | Path) -> str:
    """Read the experiment of ``config`` (JSON of an ExperimentConfig) as it was known at ``until`` (microseconds).

    Writes ``metrics`` (JSON) and ``report`` (Markdown), and returns the verdicts, such as ``new: better``. Raises
    InvalidConfig, InvalidEvents, FileNotFoundError.
    """
    try:
        values: Any = json.loads(config)
    except json.JSONDecodeError as error:
        raise InvalidConfig(f"the experiment's configuration is no JSON: {error}") from None
    found = analyse(events.read(log), configs.from_mapping(ExperimentConfig, values, "experiment"), end=until)
    write_whole(metrics, json.dumps(to_mapping(found), indent=1, allow_nan=False) + "\n")
    write_whole(report, to_markdown(found))
    return "; ".join(f"{compared.arm}: {compared.verdict}" for compared in found.comparisons)


def to_markdown(analysis: Analysis) -> str:
    """The split, and of each arm the verdict and the figures behind it."""
    lines = [f"# Experiment {analysis.experiment}", "", "| arm | readers | expected | window cut by the end |"]
    lines.append("|---|---|---|---|")
    for arm, readers in analysis.split.readers.items():
        expected = analysis.split.expected.get(arm, 0.0)
        lines.append(f"| {arm} | {readers:,} | {expected:,.1f} | {analysis.censored[arm]:,} |")
    how = "exact" if analysis.split.exact else "chi-square"
    lines += ["", f"Split p = {analysis.split.p_value:.2g} ({how}); {analysis.crossed:,} readers in several arms."]
    for compared in analysis.comparisons:
        lines += ["", f"## {compared.arm}: {compared.verdict}", "", f"{compared.reason}.", ""]
        lines += ["| metric | difference | interval | lift | p | q |", "|---|---|---|---|---|---|"]
        lines += [_row(*cells) for cells in _effects(compared, analysis)]
        lines += ["", *(f"- {remark}" for remark in remarks(compared, analysis))]
    return "\n".join(lines) + "\n"


def _effects(compared: Comparison, analysis: Analysis) -> list[tuple[str, Effect, float]]:
    days = f"active days in {analysis.config.days}"
    found = [(f"{days}, CUPED", compared.cuped, math.nan), (f"{days}, plain", compared.plain, math.nan)]
    if compared.early.effect is not None:
        found.append((f"{days}, foretold by {analysis.config.early_days}", compared.early.effect, math.nan))
    return found + [(metric.name.replace("_", " "), metric.effect, metric.q_value) for metric in compared.metrics]


def _row(name: str, effect: Effect, q_value: float) -> str:
    if math.isnan(effect.low):
        return f"| {name} | unknown | | | | |"
    lift = "" if math.isnan(effect.lift) else f"{effect.lift:+.1%}"
    q = "" if math.isnan(q_value) else f"{q_value:.2g}"
    ends = f"{effect.low:+.3g} to {effect.high:+.3g}"
    return f"| {name} | {effect.difference:+.3g} | {ends} | {lift} | {effect.p_value:.2g} | {q} |"
