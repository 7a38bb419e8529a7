"""One task: object store and InferenceService follow the release that is served."""

from kfp import dsl
from kfp.dsl.base_component import BaseComponent

from components.deploy import deploy
from components.report import report
from pipelines.cluster import JOB, ClusterConfig, place


def deployment(cluster: ClusterConfig | None, job: str = JOB) -> BaseComponent:
    """The deployment, for ``cluster`` or (None) for this machine."""

    @dsl.pipeline(name="newsrec-deploy", description="Deploy the release that is served.")
    def newsrec_deploy(releases: str, storage: str, service: str, run: str):
        with dsl.ExitHandler(place(report(run=run, job=job, releases=releases), cluster, cached=False)):
            deployed = deploy(releases=releases, storage=storage, service=service)
            place(deployed, cluster, "object store", cached=False)

    return newsrec_deploy
