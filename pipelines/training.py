"""Log to served policy: features, several policies side by side, evaluation, gate, publication.

::

    resolve ─► ingest ─► features ─┬─► materialize
                                   └─► train (one a policy) ─► evaluate ─► gate ─► publish, if the gate says ship
"""

from kfp import dsl
from kfp.dsl.base_component import BaseComponent

from components.evaluate import evaluate
from components.features import features
from components.gate import gate
from components.ingest import ingest
from components.materialize import materialize
from components.publish import publish
from components.report import report
from components.resolve import resolve
from components.train import train
from pipelines.cluster import ClusterConfig, place

PARALLEL = 2
"""Policies that are trained at the same time."""


def policy_training(cluster: ClusterConfig | None) -> BaseComponent:
    """From training rows to a release, if the gate says so: the part that other pipelines contain."""

    @dsl.pipeline(name="newsrec-policy-training")
    def newsrec_policy_training(
        training_set: dsl.Input[dsl.Dataset],
        code: str,
        policies: list,
        gate_config: str,
        releases: str,
        incumbent: str,
        storage: str,
        service: str,
        run: str,
    ):
        with dsl.ParallelFor(policies, parallelism=PARALLEL) as config:
            trained = train(training_set=training_set, config=config, code=code)
            place(trained, cluster, "accelerator")
        judged = evaluate(
            training_set=training_set,
            models=dsl.Collected(trained.outputs["model"]),
            releases=releases,
            incumbent=incumbent,
            code=code,
        )
        place(judged, cluster)
        verdict = gate(metrics=judged.outputs["metrics"], report=judged.outputs["report"], config=gate_config)
        place(verdict, cluster, cached=False)
        with dsl.If(verdict.outputs["Output"] == "ship"):
            published = publish(
                winner=judged.outputs["winner"],
                releases=releases,
                incumbent=incumbent,
                run=run,
                storage=storage,
                service=service,
            )
            place(published, cluster, "object store", cached=False)

    return newsrec_policy_training


def training(cluster: ClusterConfig | None) -> BaseComponent:
    """The training pipeline, for ``cluster`` or (None) for this machine."""
    train_and_publish = policy_training(cluster)

    @dsl.pipeline(name="newsrec-training", description="A log to a served policy, through the gate.")
    def newsrec_training(
        source: str,
        timezone: str,
        simulation: str,
        code: str,
        policies: list,
        gate_config: str,
        store: str,
        releases: str,
        storage: str,
        service: str,
        run: str,
    ):
        with dsl.ExitHandler(place(report(run=run, releases=releases), cluster, cached=False)):
            start = place(resolve(releases=releases, source=source, until=""), cluster, "database", cached=False)
            data = start.outputs["data"]
            log = ingest(source=source, timezone=timezone, simulation=simulation, data=data, code=code)
            place(log, cluster, "database")
            joined = place(features(events=log.outputs["events"], code=code), cluster)
            training_set = joined.outputs["training_set"]
            place(materialize(training_set=training_set, store=store), cluster, "online store", cached=False)
            train_and_publish(
                training_set=training_set,
                code=code,
                policies=policies,
                gate_config=gate_config,
                releases=releases,
                incumbent=start.outputs["incumbent"],
                storage=storage,
                service=service,
                run=run,
            )

    return newsrec_training
