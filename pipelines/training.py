"""Log to served policy: features, several policies side by side, evaluation, gate, publication.

``training`` starts from a log, ``simulated_training`` from a simulated one; everything after the events is the same::

    ingest or simulate ─► features ─┬─► materialize
                                    ├─► train (one a policy) ─► evaluate ─► gate ─► publish, if the gate says ship
                                    └──────────────────────────────┘
"""

from kfp import dsl

from components.evaluate import evaluate
from components.features import features
from components.gate import gate
from components.ingest import ingest
from components.materialize import materialize
from components.publish import publish
from components.report import report
from components.simulate import simulate
from components.train import train

CPU_LIMIT, MEMORY_LIMIT = "2", "4Gi"


def _limited(task: dsl.PipelineTask) -> dsl.PipelineTask:
    return task.set_cpu_limit(CPU_LIMIT).set_memory_limit(MEMORY_LIMIT)


def _uncached(task: dsl.PipelineTask) -> dsl.PipelineTask:
    return task.set_caching_options(False)


def _train_and_publish(events, code, policies, gate_config, store, releases, incumbent, run) -> None:
    """The tasks that both pipelines share; arguments are the pipeline's channels."""
    training_set = _limited(features(events=events, code=code)).outputs["training_set"]
    _uncached(_limited(materialize(training_set=training_set, store=store)))
    with dsl.ParallelFor(policies, parallelism=2) as config:
        trained = _limited(train(training_set=training_set, config=config, code=code))
    judged = _limited(
        evaluate(
            training_set=training_set,
            models=dsl.Collected(trained.outputs["model"]),
            releases=releases,
            incumbent=incumbent,
            code=code,
        )
    )
    verdict = _uncached(
        _limited(gate(metrics=judged.outputs["metrics"], report=judged.outputs["report"], config=gate_config))
    )
    with dsl.If(verdict.outputs["Output"] == "ship"):
        _uncached(_limited(publish(winner=judged.outputs["winner"], releases=releases, incumbent=incumbent, run=run)))


@dsl.pipeline(name="newsrec-training", description="A log to a served policy, through the gate.")
def training(
    source: str,
    timezone: str,
    data: str,
    code: str,
    policies: list,
    gate_config: str,
    store: str,
    releases: str,
    incumbent: str,
    run: str,
):
    with dsl.ExitHandler(_uncached(report(run=run, releases=releases))):
        events = _limited(ingest(source=source, timezone=timezone, data=data, code=code)).outputs["events"]
        _train_and_publish(events, code, policies, gate_config, store, releases, incumbent, run)


@dsl.pipeline(name="newsrec-simulated-training", description="A simulated log to a served policy, through the gate.")
def simulated_training(
    simulation: str,
    code: str,
    policies: list,
    gate_config: str,
    store: str,
    releases: str,
    incumbent: str,
    run: str,
):
    with dsl.ExitHandler(_uncached(report(run=run, releases=releases))):
        events = _limited(simulate(config=simulation, code=code)).outputs["events"]
        _train_and_publish(events, code, policies, gate_config, store, releases, incumbent, run)
