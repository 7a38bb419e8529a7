"""What the API tells of a run: its pipeline, its tasks, what failed and why."""

from datetime import datetime
from typing import Any, NamedTuple

from kfp_server_api import V2beta1PipelineTaskDetail, V2beta1Run

SUCCEEDED = {"SUCCEEDED", "SKIPPED"}
ENDED = {*SUCCEEDED, "FAILED", "CANCELED"}


class Failure(NamedTuple):
    """A task and its error, or "". Kubeflow Pipelines 2.17 has a field for the error and leaves it empty
    (kubeflow/pipelines#14007); ``log_command`` shows it then."""

    task: str
    reason: str

    def __str__(self) -> str:
        return ": ".join(filter(None, self))


def pipeline(run: Any) -> str:
    """The key in PIPELINES of a run or recurring run; "" where the API keeps the pipeline elsewhere."""
    return _spec(run).get("pipelineInfo", {}).get("name", "").removeprefix("newsrec-")


def tasks(run: V2beta1Run) -> list[V2beta1PipelineTaskDetail]:
    """The tasks that are containers of the pipeline's own; the API lists each graph and driver beside them."""
    names = _names(run)
    return [task for task in _details(run) if task.display_name in names]


def failure(run: V2beta1Run) -> Failure:
    """What made the run fail: of its tasks, the one that failed first."""
    names = _names(run)
    failed = [t for t in _details(run) if t.state == "FAILED" and t.display_name.removesuffix("-driver") in names]
    if not failed:
        return Failure("", _text(run.error))
    first = min(failed, key=lambda task: task.end_time.timestamp() if task.end_time else 0.0)
    reasons = [_text(first.error), *(_text(status.error) for status in reversed(first.state_history or []))]
    return Failure(first.display_name.removesuffix("-driver"), next(filter(None, reasons), ""))


def log_command(run_id: str) -> str:
    """A command that prints how the log of each task of the run ends."""
    return f"kubectl -n kubeflow logs --selector pipeline/runid={run_id} --container main --prefix --tail 20"


def took(start: datetime | None, end: datetime | None) -> str:
    """``75 s`` or ``21 min``; "" while it is not known. (The API has 1970 for what did not happen yet.)"""
    if start is None or end is None or end < start:
        return ""
    seconds = (end - start).total_seconds()
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def _details(run: V2beta1Run) -> list[V2beta1PipelineTaskDetail]:
    return (run.run_details and run.run_details.task_details) or []


def _names(run: V2beta1Run) -> set[str]:
    return {name.removeprefix("exec-") for name in _spec(run).get("deploymentSpec", {}).get("executors", {})}


def _spec(run: Any) -> dict[str, Any]:
    """The pipeline's document, with or without the Kubernetes one beside it."""
    spec = run.pipeline_spec or {}
    return spec.get("pipeline_spec", spec)


def _text(error: Any) -> str:
    return " ".join(error.message.split()) if error is not None and error.message else ""
