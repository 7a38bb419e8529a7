"""The last runs on the cluster and what recurs there, as two tables."""

from kfp_server_api import V2beta1RecurringRun, V2beta1Run
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pipelines.api import EXPERIMENT, api, experiment
from pipelines.run_state import failure, log_command, pipeline, took
from pipelines.schedule import recurring_runs

LAST = 10
"""Runs that are shown."""


def print_status(host: str, console: Console) -> None:
    """Print both tables, times in UTC. Raises ApiFailed."""
    with api(host) as client:
        group = experiment(client)
        if group is None:
            console.print(f"nothing was submitted to {host} yet: it has no experiment {EXPERIMENT}", soft_wrap=True)
            return
        listed = client.list_runs(page_size=LAST, sort_by="created_at desc", experiment_id=group).runs or []
        runs = [client.get_run(run.run_id) if run.state == "FAILED" else run for run in listed]  # with its tasks
        recurring = list(recurring_runs(client, group))
    console.print(_runs(runs) if runs else "no run yet", highlight=False)
    for run in runs:
        if run.state == "FAILED":
            failed = failure(run)
            why = str(failed) if failed.reason else f"{failed}; its log says why: {log_command(run.run_id)}"
            console.print(f"failed {_minute(run)}: {why}", markup=False, highlight=False, soft_wrap=True)
    console.print(_recurring(recurring, runs) if recurring else "nothing recurs", highlight=False)


def _runs(runs: list[V2beta1Run]) -> Table:
    table = _table("run", "pipeline", "state", "started", "took")
    for run in runs:
        cells = [run.display_name, pipeline(run), run.state or "", _minute(run), took(run.created_at, run.finished_at)]
        table.add_row(*map(escape, cells))
    return table


def _recurring(recurring: list[V2beta1RecurringRun], runs: list[V2beta1Run]) -> Table:
    """The API does not tell when the next run is due; the last one is looked for in ``runs``."""
    last = {run.recurring_run_id: _minute(run) for run in reversed(runs)}
    table = _table("recurring run", "pipeline", "cron", "state", "last")
    for run in recurring:
        schedule = run.trigger.cron_schedule
        cron = schedule.cron.removeprefix("0 ") if schedule else "periodic"
        row = [run.display_name, pipeline(run), cron, run.status or "", last.get(run.recurring_run_id, "")]
        table.add_row(*map(escape, row))
    return table


def _table(*heads: str) -> Table:
    return Table(*heads, box=None, padding=(0, 2, 0, 0))


def _minute(run: V2beta1Run) -> str:
    return f"{run.created_at:%Y-%m-%d %H:%M}"
