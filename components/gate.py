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
    page: dsl.Output[dsl.HTML],
) -> str:
    """The verdict by ``config`` (JSON of a GateConfig): ``ship``, ``mix``, ``refuse`` or ``not enough evidence``.

    ``page`` tells it, and the run, to people.
    """
    from newsrec import gating
    from newsrec.report.page import write_for_gate

    where = gating.Run(releases, incumbent, f"{run}/{job}")
    said = gating.gate_to(training_set.path, winner.path, metrics.path, report.path, where, config, verdict.path)
    write_for_gate(page.path, verdict.path, releases, where.name)
    return said
