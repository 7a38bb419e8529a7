"""What may be said about an experiment by now. Never cached: it is the run's own moment that it is said of."""

from kfp import dsl

from components import component


@component
def analyse(
    events: dsl.Input[dsl.Dataset],
    until: str,
    config: str,
    metrics: dsl.Output[dsl.Metrics],
    report: dsl.Output[dsl.Markdown],
) -> str:
    """The verdict on each arm, such as ``new: better``, by ``config`` (JSON of an ExperimentConfig)."""
    from newsrec.evaluation.abtest import markdown

    return markdown.analyse_to(events.path, int(until), config, metrics.path, report.path)
