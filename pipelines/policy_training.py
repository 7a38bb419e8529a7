"""From training rows to a served policy: the part that several pipelines end with.

::

    train (one a policy) ─► evaluate ─► gate ─► publish, if the gate says ship or mix
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from kfp import dsl

from components.evaluate import evaluate
from components.gate import gate
from components.publish import publish
from components.train import train
from pipelines.cluster import ClusterConfig, place

PARALLEL = 2
"""Policies that are trained at the same time."""


class Request(NamedTuple):
    """What is trained and how it is shipped: inputs that every pipeline with this part has under these names."""

    code: str
    policies: list
    gate_config: str
    releases: str
    storage: str
    service: str
    run: str


def policy_training(cluster: ClusterConfig | None, job: str) -> Callable[[Any, Any, Request], None]:
    """What a pipeline of ``job`` on ``cluster`` calls with its training set, its incumbent and its request.

    KFP nests no pipeline that is defined while another one is, so this is called before.
    """

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
            config=gate_config,
            code=code,
        )
        place(judged, cluster)
        verdict = gate(
            training_set=training_set,
            winner=judged.outputs["winner"],
            metrics=judged.outputs["metrics"],
            report=judged.outputs["report"],
            releases=releases,
            incumbent=incumbent,
            config=gate_config,
            run=run,
            job=job,
        )
        place(verdict, cluster, cached=False)
        decision = verdict.outputs["Output"]
        with dsl.If(decision != "refuse"), dsl.If(decision != "not enough evidence"):  # KFP has no "or"
            published = publish(
                winner=judged.outputs["winner"],
                verdict=verdict.outputs["verdict"],
                releases=releases,
                incumbent=incumbent,
                run=run,
                job=job,
                storage=storage,
                service=service,
            )
            place(published, cluster, "object store", cached=False)

    def train_and_publish(training_set: Any, incumbent: Any, request: Request) -> None:
        newsrec_policy_training(training_set=training_set, incumbent=incumbent, **request._asdict())

    return train_and_publish
