"""Whether the winner may be served. Never cached: every run gets its own verdict."""

from kfp import dsl

from components import component


@component
def gate(
    metrics: dsl.Input[dsl.Metrics], report: dsl.Input[dsl.Markdown], config: str, verdict: dsl.Output[dsl.Artifact]
) -> str:
    """Hold the comparison against ``config`` (JSON of a GateConfig); returns ``ship`` or ``refuse``."""
    from newsrec import judging

    return judging.gate_to(metrics.path, report.path, config, verdict.path)
