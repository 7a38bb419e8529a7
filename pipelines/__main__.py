"""``python -m pipelines``: compile, run on this machine; submit, schedule, watch and roll back on a cluster."""

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from newsrec import config, deployment, releases
from newsrec.artifact import InvalidArtifact
from newsrec.cli import guarded
from newsrec.config import InvalidConfig
from newsrec.ingestion import SIMULATED
from newsrec.release_storage import DeploymentFailed
from newsrec.releases import Conflict
from pipelines import submission
from pipelines.api import ApiFailed
from pipelines.cluster import ClusterConfig, with_gpu
from pipelines.compile import compile_to
from pipelines.local import RunFailed, run
from pipelines.schedule import DAILY, schedule, unschedule
from pipelines.status import print_status
from pipelines.submission import POLICIES, Submission
from pipelines.submit import submit
from pipelines.wait import wait

app = typer.Typer(help="The pipelines: compile them, run them here, submit them to Kubeflow.", no_args_is_help=True)


class Trains(StrEnum):
    """A pipeline that may train."""

    TRAINING = "training"
    FEEDBACK = "feedback"


class Runs(StrEnum):
    """A pipeline that runs on this machine."""

    TRAINING = "training"
    FEEDBACK = "feedback"
    ROLL_BACK = "roll-back"


Host = Annotated[str, typer.Option(help="URL of the Kubeflow Pipelines API, such as http://localhost:8888")]
Api = Annotated[str, typer.Option("--host", help="URL of the Kubeflow Pipelines API, for a cluster")]
Site = Annotated[Path | None, typer.Option("--root", help="folder of a site on this machine")]
Cluster = Annotated[Path | None, typer.Option(help="TOML of the cluster, such as configs/clusters/kind.toml")]
Gpu = Annotated[
    str | None,
    typer.Option(metavar="LABEL=VALUE", help="of nodes with a GPU, for training; wins over the TOML, '' for none"),
]
Source = Annotated[str, typer.Option(help="simulated, mind:PATH, ebnerd:PATH, events:DIR or log:DATABASE_URL")]
Policies = Annotated[list[Path] | None, typer.Option("--policy", help="a TOML file, once for each policy to train")]
Root = Annotated[Path, typer.Option(help="folder for the store, the releases, the runs and the cache")]
Timezone = Annotated[str, typer.Option(help="of naive times in the log, such as Europe/Copenhagen")]
Simulation = Annotated[Path | None, typer.Option(help="TOML of the simulated newsroom, for training")]
Gate = Annotated[Path | None, typer.Option(help="TOML of the gate")]
Rules = Annotated[Path | None, typer.Option(help="TOML of the data contract and of what retrains and rolls back")]
Until = Annotated[str, typer.Option(help="the moment of a feedback run, ISO 8601 with its zone; now if left out")]
Expected = Annotated[str, typer.Option(help="roll back only while this version is served")]


@app.command("compile")
def compile_command(
    out: Annotated[Path, typer.Option(help="folder for the YAML")] = Path("build"), cluster: Cluster = None
) -> None:
    """Write each pipeline as YAML for a cluster."""
    for path in compile_to(out, config.load(ClusterConfig, cluster)):
        print(path)


@app.command("run")
def run_command(
    pipeline: Annotated[Runs, typer.Argument()] = Runs.TRAINING,
    source: Source = "",
    policy: Policies = None,
    root: Root = Path("runs"),
    timezone: Timezone = "",
    simulation: Simulation = None,
    gate: Gate = None,
    rules: Rules = None,
    until: Until = "",
    expected: Expected = "",
) -> None:
    """Run a pipeline on this machine with KFP's local runner. Without a source, training simulates one."""
    if pipeline is Runs.FEEDBACK and not source:
        raise InvalidConfig("run feedback without a source, expected --source, such as log:sqlite:///runs/events.db")
    if pipeline is Runs.ROLL_BACK:
        arguments = submission.roll_back(root, None, expected)
    else:
        wanted = Submission(source or SIMULATED, tuple(policy or POLICIES), root, timezone, simulation, gate)
        arguments = _arguments(wanted, pipeline, rules, until)
    console = Console()
    console.print(f"run {arguments['run']} of {pipeline}", highlight=False)
    result = run(pipeline, arguments, root, console)
    if pipeline is Runs.FEEDBACK:
        print_observation(result.directory / "observe", console)
    if result.verdict is not None:
        console.print((result.verdict_directory / "verdict.md").read_text(), markup=False, soft_wrap=True)
        console.print(f"report: {result.verdict_directory}", soft_wrap=True)
    if pipeline is Runs.ROLL_BACK:
        _print_served(root)


@app.command("submit")
def submit_command(
    host: Host,
    pipeline: Annotated[Trains, typer.Argument()] = Trains.TRAINING,
    cluster: Cluster = None,
    gpu: Gpu = None,
    source: Annotated[str, typer.Option(help="as for run; PATH is one in the cluster", show_default=False)] = "",
    policy: Policies = None,
    timezone: Timezone = "",
    simulation: Simulation = None,
    gate: Gate = None,
    rules: Rules = None,
    until: Until = "",
    wait_for_it: Annotated[bool, typer.Option("--wait", help="until the run has ended")] = False,
) -> None:
    """Submit a pipeline to a cluster. Without a source, training simulates one and feedback takes the cluster's log."""
    site = with_gpu(config.load(ClusterConfig, cluster), gpu)
    source = source or (SIMULATED if pipeline is Trains.TRAINING else _log(site))
    wanted = Submission(source, tuple(policy or POLICIES), Path(site.root), timezone, simulation, gate, site)
    arguments = _arguments(wanted, pipeline, rules, until)
    _submit(pipeline, arguments, site, host, wait_for_it)


@app.command("schedule")
def schedule_command(
    host: Host,
    cluster: Cluster = None,
    gpu: Gpu = None,
    cron: Annotated[str, typer.Option(help="when, in the time zone of the cluster's scheduler (UTC)")] = DAILY,
    source: Annotated[str, typer.Option(help="the cluster's event log if left out", show_default=False)] = "",
    policy: Policies = None,
    timezone: Timezone = "",
    gate: Gate = None,
    rules: Rules = None,
    off: Annotated[bool, typer.Option("--off", help="no longer")] = False,
) -> None:
    """Run the feedback pipeline every day, or as CRON says. Again with other options replaces what was there."""
    if off:
        print(f"{unschedule(host)} recurring run(s) deleted")
        return
    site = with_gpu(config.load(ClusterConfig, cluster), gpu)
    wanted = Submission(source or _log(site), tuple(policy or POLICIES), Path(site.root), timezone, None, gate, site)
    print(f"feedback at {cron!r}: {schedule(wanted.feedback(rules), cron, site, host)}")


@app.command("status")
def status_command(host: Host) -> None:
    """The last runs on a cluster, how they ended, and what recurs."""
    print_status(host, Console())


@app.command("roll-back")
def roll_back_command(host: Api = "", cluster: Cluster = None, root: Site = None, expected: Expected = "") -> None:
    """Serve the release before the current one again: on a cluster (HOST), or in a folder (ROOT)."""
    if bool(host) == bool(root) or (cluster and not host):
        raise InvalidConfig("roll-back takes --host URL, with --cluster TOML where it differs, or --root DIR, not both")
    if root:
        releases.roll_back(root / "releases", expected)
        _print_served(root)
        return
    site = config.load(ClusterConfig, cluster)
    _submit("roll-back", submission.roll_back(Path(site.root), site, expected), site, host)


@app.command("deploy")
def deploy_command(host: Api = "", cluster: Cluster = None, root: Site = None) -> None:
    """Bring object store and InferenceService up to CURRENT: by a run on a cluster (HOST), or from a folder (ROOT)."""
    site = config.load(ClusterConfig, cluster)
    if bool(host) == bool(root):
        raise InvalidConfig("deploy takes --host URL or --root DIR, not both; --cluster TOML says what to deploy to")
    if root:
        print(deployment.deploy(root / "releases", site.storage, site.inference_service))
        return
    _submit("deploy", submission.deployment(Path(site.root), site), site, host)


@app.command("experiment")
def experiment_command(
    host: Api = "",
    cluster: Cluster = None,
    root: Site = None,
    source: Annotated[str, typer.Option(help="as for run; the cluster's event log if left out")] = "",
    reading: Annotated[Path | None, typer.Option("--config", help="TOML of the experiment")] = None,
    timezone: Timezone = "",
    until: Until = "",
) -> None:
    """Read an experiment from its log: by a run on a cluster (HOST), or on this machine in a folder (ROOT)."""
    if bool(host) == bool(root) or (root and not source):
        raise InvalidConfig("experiment takes --host URL, or --root DIR and --source, such as events:LOG")
    if root:
        arguments = Submission(source, (), root, timezone).experiment(reading, until)
        result = run("experiment", arguments, root, Console())
        print((result.directory / "analyse" / "report").read_text(encoding="utf-8"), end="")
        return
    site = config.load(ClusterConfig, cluster)
    wanted = Submission(source or _log(site), (), Path(site.root), timezone, cluster=site)
    _submit("experiment", wanted.experiment(reading, until), site, host)


def print_observation(directory: Path, console: Console) -> None:
    """Print what the task in ``directory`` said to do with the served release, and what each rule says to that."""
    observation = json.loads((directory / "metrics").read_text(encoding="utf-8"))
    console.print(observation["action"], style="bold", highlight=False)
    for rule in observation["rules"]:
        state = "fired" if rule["fired"] else "quiet"
        console.print(f"  {state} {rule['name']}: {rule['message']}", markup=False, highlight=False, soft_wrap=True)
    console.print(f"report: {directory / 'report'}", highlight=False, soft_wrap=True)


def main() -> None:
    """The command ``python -m pipelines``."""
    guarded("pipelines", app, RunFailed, ApiFailed, Conflict, InvalidArtifact, DeploymentFailed)


def _arguments(wanted: Submission, pipeline: str, rules: Path | None, until: str) -> dict[str, Any]:
    if pipeline == Trains.FEEDBACK:
        if wanted.simulation:
            raise InvalidConfig("--simulation is for training, which learns from it; feedback watches a real log")
        return wanted.feedback(rules, until)
    if rules or until:
        raise InvalidConfig("--rules and --until are for feedback; training has no rules and takes the whole log")
    return wanted.training()


def _submit(name: str, arguments: dict[str, Any], cluster: ClusterConfig, host: str, wait_for_it: bool = True) -> None:
    submitted = submit(name, arguments, cluster, host)
    print(f"run {submitted.run_id}\n{submitted.link}", flush=True)
    if wait_for_it:
        wait(submitted.run_id, host, Console())


def _log(cluster: ClusterConfig) -> str:
    return f"log:{cluster.event_log}"


def _print_served(root: Path) -> None:
    served = releases.current(root / "releases")
    print(f"{served.version if served else 'nothing'} is served from {root}")


if __name__ == "__main__":
    main()
