"""A source by its name, or a simulated world, to an event log on disk: validated, with embeddings, whole or none."""

import json
from collections.abc import Callable
from pathlib import Path

from newsrec import config as configs
from newsrec import events, tombstones
from newsrec.config import InvalidConfig
from newsrec.database import without_password
from newsrec.datasets import ebnerd, interactions, mind, obd
from newsrec.encoders.text import embed_articles
from newsrec.event_log import EventDatabase
from newsrec.events import EventLog, InvalidEvents
from newsrec.simulator import shards
from newsrec.simulator.config import SimulationConfig

SIMULATED = "simulated"
"""The source that is no log yet."""
SOURCES: dict[str, Callable[[str, str | None], EventLog]] = {
    "mind": mind.read,
    "ebnerd": ebnerd.read,
    "interactions": lambda path, timezone: interactions.read(path, timezone=timezone),
    "obd": lambda path, _: obd.read(path),
    "events": lambda path, _: events.read(path),
    "log": lambda url, _: _from_database(url),
}
"""Name -> reader of the path (or database URL) and the timezone of naive times."""


def ingest(
    source: str, out: str | Path, timezone: str | None = None, simulation: str = "{}", store: str | Path = ""
) -> Path:
    """The log of ``source``, such as ``mind:PATH`` or ``log:sqlite:///FILE``, written to the folder ``out``.

    ``simulated`` is the world that ``simulation`` (JSON) describes. Embeddings that are null are filled from the
    articles' texts. Readers whom the feature store in the folder ``store`` knows to be forgotten are left out. Raises
    InvalidConfig for an unknown kind of source, InvalidEvents, FileNotFoundError.
    """
    if source == SIMULATED:
        return simulate_to(simulation, out)
    kind, where = split(source)
    log = SOURCES[kind](where, timezone)
    if store:
        log = tombstones.read(store).without(log)
    if not log.recommendations.num_rows:
        raise InvalidEvents(f"{source}: found no recommendation, expected a log with decisions")
    return events.write(log._replace(articles=embed_articles(log.articles)), out)


def split(source: str) -> tuple[str, str]:
    """``kind:where`` in its two parts. Raises InvalidConfig for a kind that is not in SOURCES."""
    kind, _, where = source.partition(":")
    if kind not in SOURCES or not where:
        known = ", ".join(f"{name}:{'URL' if name == 'log' else 'PATH'}" for name in SOURCES)
        raise InvalidConfig(f"source is {without_password(source)!r}, expected {SIMULATED} or one of {known}")
    return kind, where


def simulate_to(config: SimulationConfig | str, out: str | Path) -> Path:
    """The log of the world that ``config`` (a text is JSON) describes, with random slates, in the folder ``out``.

    Raises InvalidConfig.
    """
    if isinstance(config, str):
        try:
            values = json.loads(config)
        except json.JSONDecodeError as error:
            raise InvalidConfig(f"the simulation's configuration is no JSON: {error}") from None
        if not isinstance(values, dict):
            raise InvalidConfig(f"the simulation's configuration is {values!r}, expected an object")
        config = configs.from_mapping(SimulationConfig, values, "simulation")
    shards.write(config, out)
    return Path(out)


def _from_database(url: str) -> EventLog:
    """The whole log in the database at ``url``, which must exist already."""
    file = Path(url.removeprefix("sqlite:///"))
    if url.startswith("sqlite:///") and not file.exists():
        raise FileNotFoundError(f"{file} does not exist; expected the event log of {url}")
    database = EventDatabase(url)
    try:
        return database.export()
    finally:
        database.close()
