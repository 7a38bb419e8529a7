"""Whether the winner may be served. Never cached: every run gets its own verdict."""

from kfp import dsl

from components import component


@component
def gate(
    training_set: dsl.Input[dsl.Dataset],
    winner: dsl.Input[dsl.Model],
    metrics: dsl.Input[dsl.Metrics],
    report: dsl.Input[dsl.Markdown],
    releases: str,
    incumbent: str,
    config: str,
    run: str,
    job: str,
    verdict: dsl.Output[dsl.Artifact],
) -> str:
    """The verdict by ``config`` (JSON of a GateConfig): ``ship``, ``mix``, ``refuse`` or ``not enough evidence``."""
    from newsrec import gating

    where = gating.Run(releases, incumbent, f"{run}/{job}")
    return gating.gate_to(training_set.path, winner.path, metrics.path, report.path, where, config, verdict.path)
