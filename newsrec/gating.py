"""The gate of a run and what is published after it: the verdict on the winner, on disk and in the ledger.

Without ``[shipping]`` in its configuration the gate compares rankings (``newsrec.evaluation.gate``), which needs no
propensities: *ship* or *refuse*. With it, the log tells what the winner would do to each metric
(``newsrec.evaluation.shipping``), and the answer is *ship*, *mix*, *refuse* or *not enough evidence*. Rankings are then
told in the report and decide nothing. The incumbent is the policy that most readers have (of a mixture its incumbent),
or the one that wrote the log where nothing of ours is served yet, or what is served cannot be scored any more.

A mixture needs an artefact to mix into. Where there is none, the winner is published alone and the verdict says so:
whoever wrote the log until now serves the other readers, and sends ours its share.
"""

import json
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from newsrec import artifact, config, dataset, deployment, mixture
from newsrec.artifact import Artifact
from newsrec.decisions import Decisions, time_split
from newsrec.evaluation import gate as rankings
from newsrec.evaluation.gate import GateConfig
from newsrec.evaluation.report import write_verdict
from newsrec.evaluation.shipping import ledger, report, verdict
from newsrec.evaluation.shipping.bounds import Measured
from newsrec.evaluation.shipping.findings import findings
from newsrec.evaluation.shipping.verdict import Verdict
from newsrec.features import feature_hash
from newsrec.judging import INCUMBENT, CannotJudge, seen, shares

VERDICTS = "verdicts.jsonl"
"""In the folder of the releases: all verdicts that the log decided."""
LOGGED = "the log's policy"
"""The incumbent where nothing of ours is served."""


class Run(NamedTuple):
    """Where a run stands."""

    releases: str | Path
    incumbent: str
    """Version of the release that is served, "" for none."""
    name: str
    """REQUEST/JOB."""


def gate_to(
    training_set: str | Path,
    winner: str | Path,
    metrics: str | Path,
    report_at: str | Path,
    run: Run,
    gate_config: str,
    out: str | Path,
) -> str:
    """The decision on the artefact ``winner``, by ``gate_config`` (JSON of a GateConfig).

    Writes the folder ``out`` whole: verdict.json, verdict.md, and ``report_at`` with the verdict on top; a verdict of
    the log also into the ledger, once for a run. Raises CannotJudge for a file ``metrics`` that the evaluation did not
    write, InvalidConfig, InvalidLog, and ValueError where config and comparison do not fit each other.
    """
    asked = config.from_mapping(GateConfig, json.loads(gate_config), "gate")
    try:
        comparison = json.loads(Path(metrics).read_text(encoding="utf-8"))
        name = comparison["selection"]["winner"]
    except (ValueError, KeyError, TypeError) as error:
        raise CannotJudge(f"{metrics} holds no comparison ({error!r}); expected what the evaluation wrote") from None
    known = INCUMBENT if INCUMBENT in comparison["models"] else None
    ranked = rankings.decide(comparison, name, known, asked)
    if asked.shipping is None:
        write_verdict(out, report_at, comparison, ranked)
        return ranked.decision
    served = artifact.load(mixture.control(_release(run))) if run.incumbent else None
    new = artifact.load(winner)
    use_time = new.use_time or (served is not None and served.use_time)
    decisions = dataset.read(training_set, use_time=use_time)
    split = shares({name: new})
    _, _, test = time_split(decisions.time, split.validation, split.test)
    found = judge(decisions, test, new, served, asked, name)
    ledger.append_once(Path(run.releases) / VERDICTS, found, run.name, datetime.now(UTC))
    write_verdict(out, report_at, comparison, Told(found, ranked, _note(found, run)))
    return found.decision


def judge(
    decisions: Decisions,
    rows: np.ndarray,
    candidate: Artifact,
    incumbent: Artifact | None,
    asked: GateConfig,
    name: str = "",
    elsewhere: Mapping[str, Measured] | None = None,
) -> Verdict:
    """What ``rows`` say of ``candidate``. An incumbent of other features cannot be scored: then the log's mean stands.

    The same log always gives the same verdict, but for a guard-rail of latency, which is measured anew. Raises
    InvalidLog, and ValueError without ``asked.shipping``.
    """
    if asked.shipping is None:
        raise ValueError("the gate has no [shipping] table, expected what the log is asked for; rankings need no log")
    scored = incumbent is not None and incumbent.feature_hash == feature_hash()
    other = seen(decisions, incumbent, asked.slates) if incumbent is not None and scored else None
    told = replace(
        asked.shipping, incumbent=f"{incumbent.name} {incumbent.version}" if incumbent and scored else LOGGED
    )
    found = findings(decisions, rows, seen(decisions, candidate, asked.slates), other, told, elsewhere)
    return verdict.decide(name or candidate.name, found, told, np.random.default_rng(0))


def publish_to(winner: str | Path, verdict_at: str | Path, run: Run, storage: str = "", service: str = "") -> str:
    """Publish what the verdict in the folder ``verdict_at`` permits, and deploy it; the version that is served then.

    *ship*: the artefact ``winner``. *mix*: a mixture of it into the policy that is served, or ``winner`` alone where
    nothing can be mixed into. The readers of the share are drawn by the candidate's version and the share: the next
    candidate is another experiment, and so is another share, else who is moved would be in both arms of one.
    Raises CannotJudge for another verdict, Conflict, InvalidArtifact and DeploymentFailed.
    """
    found = json.loads((Path(verdict_at) / "verdict.json").read_text(encoding="utf-8"))
    decision = found["decision"]
    if decision not in ("ship", "mix"):
        raise CannotJudge(f"the verdict is {decision!r}, expected ship or mix: nothing is published")
    with tempfile.TemporaryDirectory() as folder:
        chosen = Path(winner)
        if decision == "mix" and mixable(run):
            version = artifact.load(winner).version
            chosen = Path(folder) / "mixture"
            control = mixture.control(_release(run))
            mixture.write(chosen, control, winner, found["share"], f"gate {version} at {found['share']:.6g}")
        return deployment.publish_to(run.releases, chosen, run.incumbent, run.name, storage, service)


def mixable(run: Run) -> bool:
    """Whether something is served that a candidate of today's features can be mixed into."""
    return bool(run.incumbent) and artifact.load(mixture.control(_release(run))).feature_hash == feature_hash()


class Told(NamedTuple):
    """A verdict of the log, and what rankings would have said."""

    verdict: Verdict
    ranked: rankings.Verdict
    note: str
    """What of the verdict cannot be done, "" for nothing."""

    def to_markdown(self) -> str:
        checks = self.ranked.to_markdown().partition("\n\n")[2].strip()
        parts = [
            report.to_markdown(self.verdict).strip(),
            self.note,
            "Rankings, which are told and decide nothing here:",
        ]
        return "\n\n".join(part for part in [*parts, checks] if part) + "\n"

    def to_json(self) -> str:
        plain: dict[str, Any] = {"ship": self.verdict.decision == "ship", **report.to_mapping(self.verdict)}
        return json.dumps(plain | {"note": self.note, "ranking": self.ranked.to_mapping()}, indent=2, allow_nan=False)


def _note(found: Verdict, run: Run) -> str:
    if found.decision != "mix" or mixable(run):
        return ""
    return (
        f"Nothing is served here that it could be mixed into: {found.candidate} is published alone. Send it "
        f"{found.share:.1%} of the readers, and leave the others where they are."
    )


def _release(run: Run) -> Path:
    return Path(run.releases) / "versions" / run.incumbent
