"""One task: the release before the current one is served again."""

from kfp import dsl
from kfp.dsl.base_component import BaseComponent

from components.report import report
from components.roll_back import roll_back
from pipelines.cluster import JOB, ClusterConfig, place


def rollback(cluster: ClusterConfig | None, job: str = JOB) -> BaseComponent:
    """The roll-back, for ``cluster`` or (None) for this machine."""

    @dsl.pipeline(name="newsrec-roll-back", description="Serve the release before the current one again.")
    def newsrec_roll_back(expected: str, releases: str, storage: str, service: str, run: str):
        with dsl.ExitHandler(place(report(run=run, job=job, releases=releases), cluster, cached=False)):
            undone = roll_back(releases=releases, expected=expected, storage=storage, service=service)
            # not retried: without ``expected`` a try that was lost after it had ended would go one release further
            place(undone, cluster, "object store", cached=False, retried=False)

    return newsrec_roll_back
