"""Drift, and the value of what is served, since its training. Never cached: a verdict belongs to its run."""

from kfp import dsl

from components import component


@component
def observe(
    training_set: dsl.Input[dsl.Dataset],
    releases: str,
    incumbent: str,
    until: str,
    rules: str,
    metrics: dsl.Output[dsl.Metrics],
    report: dsl.Output[dsl.Markdown],
) -> str:
    """``keep``, ``retrain`` or ``roll_back``, by the rules (JSON of a FeedbackConfig)."""
    from newsrec import supervision

    return supervision.observe_to(training_set.path, releases, incumbent, int(until), rules, metrics.path, report.path)
