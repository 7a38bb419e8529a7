"""An experiment, read from the event log: which arm brings readers back more often, as far as can be told by now.

::

    resolve ─► ingest ─► analyse

It may run every day: the figure that decides is a confidence sequence, which allows for it.
"""

from kfp import dsl
from kfp.dsl.base_component import BaseComponent

from components.analyse import analyse
from components.ingest import ingest
from components.report import report
from components.resolve import resolve
from pipelines.cluster import JOB, ClusterConfig, place


def experiment(cluster: ClusterConfig | None, job: str = JOB) -> BaseComponent:
    """The reading of an experiment, for ``cluster`` or (None) for this machine."""

    @dsl.pipeline(name="newsrec-experiment", description="The log of an experiment to a verdict on each arm.")
    def newsrec_experiment(source: str, timezone: str, until: str, config: str, code: str, releases: str, run: str):
        with dsl.ExitHandler(place(report(run=run, job=job, releases=releases), cluster, cached=False)):
            start = place(resolve(releases=releases, source=source, until=until), cluster, "database", cached=False)
            log = ingest(source=source, timezone=timezone, simulation="{}", data=start.outputs["data"], code=code)
            events = place(log, cluster, "database").outputs["events"]
            place(analyse(events=events, until=start.outputs["until"], config=config), cluster, cached=False)

    return newsrec_experiment
