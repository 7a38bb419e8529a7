"""The daily feedback run, as a recurring run that Kubeflow Pipelines keeps: one of its name, or none."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from kfp import Client, compiler
from kfp_server_api import V2beta1RecurringRun

from newsrec import config
from pipelines.api import api, experiment, made_experiment
from pipelines.cluster import ClusterConfig
from pipelines.compile import PIPELINES
from pipelines.cron import with_seconds

PIPELINE = "feedback"
NAME = f"newsrec-{PIPELINE}"
DAILY = "0 4 * * *"


def schedule(
    arguments: dict[str, Any], cron: str, cluster: ClusterConfig, host: str
) -> Literal["new", "replaced", "unchanged"]:
    """Let the feedback pipeline recur, one run at a time, and say what that changed. Raises ApiFailed, InvalidConfig.

    What is there with the same pipeline, arguments and time stays; anything else of its name goes once the new one is
    there, so that an interruption leaves two, which the next call makes one, and never none.
    """
    seconds = with_seconds(cron)
    with api(host) as client, tempfile.TemporaryDirectory() as directory:
        package = Path(directory) / "pipeline.yaml"
        compiler.Compiler().compile(PIPELINES[PIPELINE](cluster), str(package))
        content = config.digest(package.read_text(), arguments, seconds, cluster.service_account, cluster.pipeline_root)
        group = made_experiment(client)
        found = _of_our_name(client, group)
        same = [run for run in found if content in (run.description or "") and run.status == "ENABLED"]
        if same:
            kept = same[0].recurring_run_id
        else:
            made = client.create_recurring_run(
                group,
                NAME,
                description=f"made by python -m pipelines schedule from {content}",
                cron_expression=seconds,
                max_concurrency=1,
                no_catchup=True,
                params=arguments,
                pipeline_package_path=str(package),
                pipeline_root=cluster.pipeline_root or None,
                service_account=cluster.service_account,
            )
            kept = made.recurring_run_id
        _delete(client, [run for run in found if run.recurring_run_id != kept])
    if same:
        return "unchanged"
    return "replaced" if found else "new"


def unschedule(host: str) -> int:
    """Delete what ``schedule`` made, and return how many that were. Raises ApiFailed."""
    with api(host) as client:
        group = experiment(client)
        found = _of_our_name(client, group) if group else []
        _delete(client, found)
    return len(found)


def recurring_runs(client: Client, experiment_id: str) -> Iterator[V2beta1RecurringRun]:
    """All of the experiment."""
    token = ""
    while True:
        page = client.list_recurring_runs(page_token=token, page_size=100, experiment_id=experiment_id)
        yield from page.recurring_runs or []
        token = page.next_page_token
        if not token:
            return


def _of_our_name(client: Client, experiment_id: str) -> list[V2beta1RecurringRun]:
    return [run for run in recurring_runs(client, experiment_id) if run.display_name == NAME]


def _delete(client: Client, runs: list[V2beta1RecurringRun]) -> None:
    for run in runs:
        client.delete_recurring_run(run.recurring_run_id)
