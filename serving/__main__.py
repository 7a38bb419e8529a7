"""``python -m serving`` serves slates, ``python -m serving collector`` takes feedback and articles."""

import sys

import prometheus_client  # noqa: F401  before Feast, which would have every counter in a file of many processes
import typer

from serving import logs
from serving.commands.ahead import precompute, vectors
from serving.commands.collector import collector
from serving.commands.experiment import resume_experiment, stop_experiment
from serving.commands.keeping import forget, retain, stored_id
from serving.commands.predictor import predictor

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Serve slates (predictor, what runs without a command), take feedback and articles (collector).",
)
for command in (
    predictor,
    collector,
    vectors,
    precompute,
    forget,
    stored_id,
    retain,
    stop_experiment,
    resume_experiment,
):
    app.command()(command)


def main() -> None:
    arguments = sys.argv[1:]
    if arguments and arguments[0].startswith("--") and arguments[0] != "--help":
        arguments = ["predictor", *arguments]
    logs.configure("text")  # until the option is read
    app(arguments)


if __name__ == "__main__":
    main()
