"""The switch of a running experiment."""

from pathlib import Path

from serving.commands.opening import clock, one_sentence
from serving.commands.options import EVENT_LOG, EventLog, Served


def stop_experiment(served: Served, event_log: EventLog = EVENT_LOG) -> None:
    """Give everybody the incumbent of the served mixture, within seconds, whatever their arm."""
    _switch(served, event_log, off=True)


def resume_experiment(served: Served, event_log: EventLog = EVENT_LOG) -> None:
    """Let a stopped experiment go on: everybody has the policy of their arm again."""
    _switch(served, event_log, off=False)


def _switch(served: Path, event_log: str, off: bool) -> None:
    from newsrec import mixture, releases, stopped_experiments
    from newsrec.artifact import InvalidArtifact
    from newsrec.event_log import EventDatabase

    with one_sentence(InvalidArtifact):
        release = releases.current(served)
        name = mixture.read_manifest(served if release is None else release.directory)["experiment"]
        database = EventDatabase(event_log)
        if off:
            changed = stopped_experiments.stop(database.engine, name, clock())
        else:
            changed = stopped_experiments.resume(database.engine, name)
        database.close()
    print(f"experiment {name} {'is' if changed else 'was'} {'stopped' if off else 'running'}")
