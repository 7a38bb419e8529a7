"""The command ``newsrec gate``: the verdict on an artefact from a log, without a pipeline and without a ledger."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from newsrec.config import InvalidConfig

if TYPE_CHECKING:
    from newsrec.evaluation.gate import GateConfig
    from newsrec.evaluation.shipping.verdict import Verdict


def gate(
    artefact: Annotated[Path, typer.Argument(metavar="ARTEFACT", help="The candidate.")],
    log: Annotated[str, typer.Option(metavar="LOG", help="Folder of an event log, or such as log:URL.")],
    config: Annotated[Path, typer.Option(help="TOML of the gate, with a [shipping] table.")],
    incumbent: Annotated[
        Path | None, typer.Option(help="Artefact that is served now; the policy that wrote the log if left out.")
    ] = None,
    last: Annotated[float, typer.Option(min=0.01, max=1.0, help="Share of the decisions, from the end.")] = 0.2,
    timezone: Annotated[str | None, typer.Option(help="What naive times are local to.")] = None,
) -> None:
    """Ask a log with propensities whether to ship, mix or refuse a policy, and with which plan."""
    from newsrec import config as configs  # the rest takes seconds to import
    from newsrec.artifact import InvalidArtifact
    from newsrec.evaluation.gate import GateConfig
    from newsrec.evaluation.off_policy.checks import InvalidLog
    from newsrec.evaluation.shipping import report

    asked = configs.load(GateConfig, config)
    if asked.shipping is None:
        raise InvalidConfig(f"{config} has no [shipping] table, expected what the log is asked for (docs/gate.md)")
    try:
        print(report.to_markdown(_judged(asked, artefact, log, incumbent, last, timezone)), end="")
    except (InvalidArtifact, InvalidLog) as error:
        raise InvalidConfig(str(error)) from None


def _judged(
    asked: "GateConfig", artefact: Path, log: str, incumbent: Path | None, last: float, timezone: str | None
) -> "Verdict":
    from newsrec import artifact, dataset
    from newsrec.decisions import time_split
    from newsrec.doctor import diagnosis
    from newsrec.gating import judge

    candidate, served = artifact.load(artefact), artifact.load(incumbent) if incumbent else None
    use_time = candidate.use_time or (served is not None and served.use_time)
    decisions = dataset.from_log(diagnosis.read(log, timezone), use_time=use_time)
    _, _, rows = time_split(decisions.time, 0.0, last)
    until, start = candidate.provenance.get("events_until", 0), int(decisions.time[rows[0]])
    if until >= start:
        raise InvalidConfig(
            f"{artefact} was trained on decisions up to {until} (microseconds since 1970), the last {last:.0%} of the "
            f"log begin at {start}; expected later ones: take fewer with --last, or another log"
        )
    return judge(decisions, rows, candidate, served, asked)
