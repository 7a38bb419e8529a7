"""Every trained policy and the incumbent on the same decisions."""

from kfp import dsl

from components import component


@component
def evaluate(
    training_set: dsl.Input[dsl.Dataset],
    models: dsl.Input[list[dsl.Model]],
    releases: str,
    incumbent: str,
    config: str,
    code: str,
    winner: dsl.Output[dsl.Model],
    metrics: dsl.Output[dsl.Metrics],
    report: dsl.Output[dsl.Markdown],
):
    """Choose the winner on validation decisions, as the gate's ``config`` says, and compare all on test decisions.

    ``incumbent`` is a version.
    """
    from newsrec import judging

    asked, paths = judging.JudgingConfig.of(config), [m.path for m in models]
    judging.evaluate_to(training_set.path, paths, releases, incumbent, winner.path, metrics.path, report.path, asked)
