"""How a run ended, whatever happened in it."""

from kfp import dsl

from components import component


@component
def report(status: dsl.PipelineTaskFinalStatus, run: str, job: str, releases: str):
    """Append the run's end to the ledger of runs beside the releases."""
    from newsrec.releases import record_run

    record_run(releases, f"{run}/{job}", status.state, status.error_message or "")
