"""The commands ``newsrec plan-test`` and ``newsrec experiment``."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from newsrec import config as configs
from newsrec import events
from newsrec.config import InvalidConfig
from newsrec.evaluation.abtest.config import ExperimentConfig
from newsrec.events import EventLog, InvalidEvents
from newsrec.files import write_whole

if TYPE_CHECKING:
    from newsrec.evaluation.abtest.plan import Traffic

Out = Annotated[Path | None, typer.Option(help="File for all figures, as JSON.")]
Log = Annotated[str, typer.Argument(metavar="LOG", help="Folder of an event log, or log:URL of an event database.")]


def plan_test(
    mde: Annotated[str, typer.Option(help="Least lift to be found, such as 0.1% or 0.001.")],
    log: Annotated[
        str | None, typer.Option(metavar="LOG", help="Folder or log:URL, which tells what is not given.")
    ] = None,
    mean: Annotated[float | None, typer.Option(help="Active days of a reader in the window.")] = None,
    std: Annotated[float | None, typer.Option(help="Standard deviation of these.")] = None,
    traffic: Annotated[float | None, typer.Option(help="Newly assigned readers a day.")] = None,
    correlation: Annotated[float | None, typer.Option(help="Of active days and the past, for CUPED.")] = None,
    clicks: Annotated[float | None, typer.Option(help="Clicks of a reader in the window.")] = None,
    power: Annotated[float, typer.Option(help="Probability of telling such a lift.")] = 0.8,
    confidence: Annotated[float, typer.Option(help="Of the intervals.")] = 0.95,
    share: Annotated[float, typer.Option(help="Of the readers in the treated arm.")] = 0.5,
    days: Annotated[int, typer.Option(help="Of each reader's window.")] = 28,
    once: Annotated[bool, typer.Option("--once", help="Look at the end alone, not every day.")] = False,
    out: Out = None,
) -> None:
    """How many readers and days a test takes to find a lift of active days, and what it may cost."""
    from newsrec.evaluation.abtest.plan import PlanConfig, plan  # scipy takes a while to import
    from newsrec.evaluation.abtest.report import plan_table, to_mapping

    values = {"mde": share_of(mde), "power": power, "confidence": confidence, "share": share, "days": days}
    config = configs.from_mapping(PlanConfig, values | {"daily": not once}, "plan-test")
    known = _traffic(log, days, mean, std, traffic, correlation, clicks)
    found = plan(config, known)
    if out:
        _write(out, {"config": to_mapping(config), "traffic": to_mapping(known), "plan": to_mapping(found)})
    Console().print(plan_table(found, config, known), highlight=False, soft_wrap=True)


def experiment(
    log: Log,
    name: Annotated[str, typer.Option(help="The experiment; not needed where the log has one.")] = "",
    control: Annotated[str, typer.Option(help="The arm that the others are compared with.")] = "control",
    config: Annotated[Path | None, typer.Option(help="TOML with what differs from the defaults.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="One value, such as days=14 or shares.b=0.1.")] = None,
    start: Annotated[
        str | None, typer.Option(help="Moment of the start (UTC): count all readers who were known, by their hash.")
    ] = None,
    salt: Annotated[str | None, typer.Option(envvar="NEWSREC_SALT", help="Of the assignment, with --start.")] = None,
    until: Annotated[str | None, typer.Option(help="End of the log (UTC), else what it saw last.")] = None,
    out: Out = None,
) -> None:
    """Say which arm of an experiment brings readers back more often, as far as its log can tell by now."""
    from newsrec.evaluation.abtest.analysis import analyse  # scipy takes a while to import
    from newsrec.evaluation.abtest.assigned import at_start, only_experiment
    from newsrec.evaluation.abtest.report import tables, to_mapping

    given = configs.read_toml(config, set_ or ())
    given = {"control": control, **({"experiment": name} if name else {}), **given}
    settings = configs.from_mapping(ExperimentConfig, given, str(config or "experiment"))
    begin, end = (None if text is None else _moment(text, flag) for text, flag in ((start, "start"), (until, "until")))
    read, assigned = _read(log), None
    if begin is not None:
        if not salt or not settings.shares:
            raise InvalidConfig("--start needs how readers are assigned: --salt, and --set shares.ARM=... for each arm")
        title = settings.experiment or only_experiment(read)
        assigned = at_start(read, title, begin, settings.shares, salt, settings.before_days)
    found = analyse(read, settings, assigned, end)
    if out:
        _write(out, to_mapping(found))
    Console().print(tables(found), highlight=False)


def share_of(text: str) -> float:
    """``0.1%`` or ``0.001`` as a number. Raises InvalidConfig."""
    try:
        return float(text.removesuffix("%")) / (100.0 if text.endswith("%") else 1.0)
    except ValueError:
        raise InvalidConfig(f"--mde is {text!r}, expected a lift such as 0.1% or 0.001") from None


def _traffic(
    log: str | None,
    days: int,
    mean: float | None,
    std: float | None,
    traffic: float | None,
    correlation: float | None,
    clicks: float | None,
) -> "Traffic":
    """What flags say, and a log where they say nothing."""
    from newsrec.evaluation.abtest.plan import Traffic

    given: dict[str, object] = {"mean": mean, "deviation": std, "correlation": correlation, "clicks": clicks}
    given["arrivals"] = None if traffic is None else [traffic]
    given = {key: value for key, value in given.items() if value is not None}
    if log is not None:
        from newsrec.evaluation.abtest.traffic import traffic_of

        known = configs.to_mapping(traffic_of(_read(log), days))
        return configs.from_mapping(Traffic, known | given, "plan-test")
    flags = {"mean": "--mean", "deviation": "--std", "arrivals": "--traffic"}
    if missing := [flag for key, flag in flags.items() if key not in given]:
        raise InvalidConfig(f"{' '.join(missing)} is missing, expected --log LOG or all of {' '.join(flags.values())}")
    return configs.from_mapping(Traffic, given, "plan-test")


def _read(source: str) -> EventLog:
    """Raises InvalidConfig, InvalidEvents, FileNotFoundError."""
    kind, _, url = source.partition(":")
    if kind != "log" or not url:
        if Path(source).is_dir():
            return events.read(source)
        raise InvalidConfig(f"found no log {source!r}, expected a folder that exists or log:URL")
    from sqlalchemy.exc import SQLAlchemyError

    from newsrec.event_log import EventDatabase

    file = Path(url.removeprefix("sqlite:///"))
    if url.startswith("sqlite:///") and not file.exists():
        raise FileNotFoundError(f"{file} does not exist; expected the event log of {url}")
    try:
        database = EventDatabase(url)
        try:
            return database.export()
        finally:
            database.close()
    except SQLAlchemyError as error:
        raise InvalidEvents(f"the database is no event log: {str(error).splitlines()[0]}") from None


def _moment(text: str, flag: str) -> int:
    """Microseconds. Raises InvalidConfig."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidConfig(f"--{flag} is {text!r}, expected a date or time such as 2026-01-31") from None
    return round(moment.replace(tzinfo=moment.tzinfo or UTC).timestamp() * 1e6)


def _write(out: Path, value: object) -> None:
    write_whole(out, json.dumps(value, indent=1, allow_nan=False) + "\n")
