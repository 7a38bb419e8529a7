"""How a run ended, whatever happened in it."""

from kfp import dsl

from components import component


@component
def report(status: dsl.PipelineTaskFinalStatus, run: str, releases: str):
    """Append the run's end to the ledger of runs beside the releases."""
    from newsrec.releases import record_run

    record_run(releases, run, status.state, status.error_message or "")
