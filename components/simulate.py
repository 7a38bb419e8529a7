"""A simulated log, in the same schema as a live one."""

from kfp import dsl

from components import component


@component
def simulate(config: str, code: str, events: dsl.Output[dsl.Dataset]):
    """Simulate the newsroom that ``config`` (JSON of a SimulationConfig) describes."""
    from newsrec import ingestion

    ingestion.simulate_to(config, events.path)
