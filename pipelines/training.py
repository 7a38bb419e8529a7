"""Log to served policy: features, several policies side by side, evaluation, gate, publication.

::

    resolve ─► ingest ─► features ─┬─► materialize
                                   └─► train (one a policy) ─► evaluate ─► gate ─► publish, if the gate says ship or mix
"""

from kfp import dsl
from kfp.dsl.base_component import BaseComponent

from components.features import features
from components.ingest import ingest
from components.materialize import materialize
from components.report import report
from components.resolve import resolve
from pipelines.cluster import JOB, ClusterConfig, place
from pipelines.policy_training import Request, policy_training


def training(cluster: ClusterConfig | None, job: str = JOB) -> BaseComponent:
    """The training pipeline, for ``cluster`` or (None) for this machine."""
    train_and_publish = policy_training(cluster, job)

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
        with dsl.ExitHandler(place(report(run=run, job=job, releases=releases), cluster, cached=False)):
            start = place(
                resolve(releases=releases, source=source, until="", store=store), cluster, "database", cached=False
            )
            data = start.outputs["data"]
            log = ingest(source=source, timezone=timezone, simulation=simulation, data=data, code=code, store=store)
            place(log, cluster, "database")
            joined = place(features(events=log.outputs["events"], code=code), cluster)
            training_set = joined.outputs["training_set"]
            place(materialize(training_set=training_set, store=store), cluster, "online store", cached=False)
            request = Request(code, policies, gate_config, releases, storage, service, run)
            train_and_publish(training_set, start.outputs["incumbent"], request)

    return newsrec_training
