"""Every day: check what came in, serve its features, watch what is served, and act on it.

::

    resolve ─► ingest ─► check ─► features ─┬─► materialize
                                            └─► observe ─┬─► train ... publish, if a rule says retrain
                                                         └─► roll_back, if a guard-rail broke

Events that break the data contract end the run there: nothing is learned from them and nothing is changed.
"""

from kfp import dsl
from kfp.dsl.base_component import BaseComponent

from components.check import check
from components.features import features
from components.ingest import ingest
from components.materialize import materialize
from components.observe import observe
from components.report import report
from components.resolve import resolve
from components.roll_back import roll_back
from pipelines.cluster import JOB, ClusterConfig, place
from pipelines.policy_training import Request, policy_training


def feedback(cluster: ClusterConfig | None, job: str = JOB) -> BaseComponent:
    """The daily pipeline, for ``cluster`` or (None) for this machine."""
    train_and_publish = policy_training(cluster, job)

    @dsl.pipeline(name="newsrec-feedback", description="A day's events to features, and to a retraining or roll-back.")
    def newsrec_feedback(
        source: str,
        timezone: str,
        until: str,
        rules: str,
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
                resolve(releases=releases, source=source, until=until, store=store), cluster, "database", cached=False
            )
            incumbent, moment = start.outputs["incumbent"], start.outputs["until"]
            data = start.outputs["data"]
            log = ingest(source=source, timezone=timezone, simulation="{}", data=data, code=code, store=store)
            events = place(log, cluster, "database").outputs["events"]
            sound = place(check(events=events, until=moment, rules=rules), cluster, cached=False)
            joined = place(features(events=events, code=code), cluster).after(sound)
            training_set = joined.outputs["training_set"]
            place(materialize(training_set=training_set, store=store), cluster, "online store", cached=False)
            observed = observe(
                training_set=training_set, releases=releases, incumbent=incumbent, until=moment, rules=rules
            )
            action = place(observed, cluster, cached=False).outputs["Output"]
            with dsl.If(action == "retrain"):
                request = Request(code, policies, gate_config, releases, storage, service, run)
                train_and_publish(training_set, incumbent, request)
            with dsl.If(action == "roll_back"):
                undone = roll_back(releases=releases, expected=incumbent, storage=storage, service=service)
                place(undone, cluster, "object store", cached=False)

    return newsrec_feedback
