"""A log from outside or a simulated one, as validated events with article embeddings."""

from kfp import dsl

from components import component


@component
def ingest(
    source: str, timezone: str, simulation: str, data: str, code: str, events: dsl.Output[dsl.Dataset], store: str = ""
):
    """Read ``source`` (``mind:PATH``, ``log:DATABASE_URL`` ...) with naive times in ``timezone`` into an event log.

    ``simulated`` is the newsroom that ``simulation`` (JSON of a SimulationConfig) describes. Readers whom the feature
    store at ``store`` knows to be forgotten are left out.
    """
    from newsrec import ingestion

    ingestion.ingest(source, events.path, timezone or None, simulation, store)
