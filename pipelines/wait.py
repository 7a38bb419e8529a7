"""A run on the cluster until its end, with a line on the terminal for each thing that happens to a task."""

import time
from collections.abc import Callable, Iterator

from kfp import Client
from kfp_server_api import V2beta1PipelineTaskDetail, V2beta1Run
from kfp_server_api.exceptions import ApiException
from rich.console import Console
from rich.markup import escape
from urllib3.exceptions import HTTPError

from pipelines.api import api, link
from pipelines.local import RunFailed
from pipelines.run_state import ENDED, SUCCEEDED, failure, log_command, tasks, took

INTERVAL_SECONDS = 5.0
MISSES = 12
"""Answers of the API that may be missing in a row: a port-forward breaks now and then."""
SIGNS = {
    "RUNNING": "[dim]·[/] {} …",
    "SUCCEEDED": "[green]✓[/] {}  {}",
    "SKIPPED": "[cyan]=[/] {}  skipped",
    "FAILED": "[red]✗[/] {}  {}",
    "CANCELED": "[red]✗[/] {}  canceled",
}


def wait(run_id: str, host: str, console: Console, pause: Callable[[float], object] = time.sleep) -> None:
    """Return once the run has succeeded. Raises RunFailed with the failing task's error, ApiFailed."""
    shown: dict[str, str] = {}
    with api(host) as client:
        for run in _followed(client, run_id, pause):
            for task in tasks(run):
                if task.state != shown.get(task.task_id):
                    shown[task.task_id] = task.state
                    _show(task, console)
    if run.state in SUCCEEDED:
        return
    failed = failure(run)
    what = f"task {failed}" if failed.task else f"the run is {run.state.lower()} {failed.reason}".rstrip()
    reason = "" if failed.reason else f"; its log says why: {log_command(run_id)}"
    raise RunFailed(f"{what}{reason}; the whole run: {link(host, run_id)}")


def _followed(client: Client, run_id: str, pause: Callable[[float], object]) -> Iterator[V2beta1Run]:
    """The run as it is, again and again until it has ended."""
    missed = 0
    while True:
        try:
            run = client.get_run(run_id)
        except (ApiException, HTTPError) as error:
            missed += 1
            if missed > MISSES or (isinstance(error, ApiException) and error.status < 500):
                raise
        else:
            missed = 0
            yield run
            if run.state in ENDED:
                return
        pause(INTERVAL_SECONDS)


def _show(task: V2beta1PipelineTaskDetail, console: Console) -> None:
    if sign := SIGNS.get(task.state):
        line = sign.format(escape(task.display_name), took(task.start_time, task.end_time))
        console.print("  " + line.rstrip(), highlight=False)
