"""``python -m pipelines``: compile, run on this machine, submit to a cluster."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from newsrec.artifact import InvalidArtifact
from newsrec.cli import guarded
from pipelines.compile import compile_all
from pipelines.local import RunFailed, run
from pipelines.submission import POLICIES, SIMULATED, Submission
from pipelines.submit import submit

app = typer.Typer(help="The training pipeline: compile it, run it here, submit it to Kubeflow.", no_args_is_help=True)
Source = Annotated[str, typer.Option(help="simulated, mind:PATH, ebnerd:PATH, events:DIR or log:DATABASE_URL")]
Policies = Annotated[list[Path] | None, typer.Option("--policy", help="a TOML file, once for each policy to train")]
Root = Annotated[Path, typer.Option(help="folder for the store, the releases, the runs and the cache")]
Timezone = Annotated[str, typer.Option(help="of naive times in the log, such as Europe/Copenhagen")]
Simulation = Annotated[Path | None, typer.Option(help="TOML of the simulated newsroom")]
Gate = Annotated[Path | None, typer.Option(help="TOML of the gate")]


@app.command("compile")
def compile_command(out: Annotated[Path, typer.Option(help="folder for the YAML")] = Path("build")) -> None:
    """Write each pipeline as YAML."""
    for path in compile_all(out):
        print(path)


@app.command("run")
def run_command(
    source: Source = SIMULATED,
    policy: Policies = None,
    root: Root = Path("runs"),
    timezone: Timezone = "",
    simulation: Simulation = None,
    gate: Gate = None,
) -> None:
    """Run the training pipeline on this machine with KFP's local runner."""
    console = Console()
    submission = Submission(source, tuple(policy or POLICIES), root, timezone, simulation, gate)
    arguments = submission.arguments()
    console.print(f"run {arguments['run']} of {submission.pipeline}", highlight=False)
    result = run(submission.pipeline, arguments, root, console)
    console.print((result.verdict_directory / "verdict.md").read_text(), markup=False, soft_wrap=True)
    console.print(f"report: {result.verdict_directory}", soft_wrap=True)


@app.command("submit")
def submit_command(
    host: Annotated[str, typer.Option(help="URL of the Kubeflow Pipelines API")],
    source: Source = SIMULATED,
    policy: Policies = None,
    root: Root = Path("/mnt/newsrec"),
    timezone: Timezone = "",
    simulation: Simulation = None,
    gate: Gate = None,
) -> None:
    """Submit the training pipeline to a cluster; ROOT is a path inside it."""
    submission = Submission(source, tuple(policy or POLICIES), root, timezone, simulation, gate)
    print(submit(submission.pipeline, submission.arguments(), host))


if __name__ == "__main__":
    guarded("pipelines", app, RunFailed, InvalidArtifact)
