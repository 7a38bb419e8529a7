"""``python -m benchmarks.training_speed``: is CQL trained at least twice as fast as by d3rlpy, on an equal network?

``make d3rlpy`` makes the environment that d3rlpy needs for itself. The full run takes about a minute of CPU time,
``--quick`` a quarter, on so little that its figures mean nothing. Only full runs write ``benchmarks/results``.

Equal are the log, the rows, the batch, the numbers that the network reads, and the network: d3rlpy trains
``newsrec.encoders.scorer`` as its encoder, a transformer over the reads and a projection of the candidates. Not equal:

1. d3rlpy knows one action a decision, so it learns from one article of a slate, ours from all of them.
2. d3rlpy's values are scores of the network behind its own last layer; ours has heads for values beside the click model
   and trains both, with two losses more.
3. d3rlpy passes observations through the network twice with gradients (error and penalty) and next observations twice
   without (best action and lagging network); ours needs one of each, since lagging heads share the vectors.
4. Ours clips gradients and forgets identities, d3rlpy does neither.
5. d3rlpy draws from observations that are stored whole, ours from the log's compact arrays, which it gathers anew.
"""

import json
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.progress import Progress

from benchmarks import running
from benchmarks.results import ROOT, Bar, Mean, Results, machine, mean, versions
from benchmarks.training_speed.protocol import SETTINGS, Spent, Worker

THEIRS = ROOT / ".venv-d3rlpy" / "bin" / "python"
LEAST = 2.0
SEED = 61
PAIRS = {"train": ("train", "train"), "update": ("update", "update"), "mlp": ("train", "mlp_train")}
"""What is compared -> mode of ours and mode of d3rlpy's."""


@dataclass(frozen=True)
class Size:
    """How much is trained."""

    readers: int = 400
    days: int = 12
    reads: int = 10
    """Least reads of a history, which start empty in the simulated log."""
    batch: int = 256
    rounds: int = 8
    steps: int = 2
    """Of a turn."""


FULL, QUICK = Size(), Size(readers=60, days=6, reads=1, batch=32, rounds=3, steps=1)


def main(
    quick: Annotated[bool, typer.Option("--quick", help="Half a minute, to see that it runs.")] = False,
    out: Annotated[Path | None, typer.Option(help="File for the results, also of a quick run.")] = None,
) -> None:
    """Compare transitions a second with d3rlpy's DiscreteCQL."""
    if not THEIRS.exists():
        print(f"d3rlpy is not installed: {THEIRS} is missing; make d3rlpy makes it (1.4 GB)", file=sys.stderr)
        raise typer.Exit(2)
    size, begun, stamped = QUICK if quick else FULL, machine(), versions()  # of the code that the processes load
    spent, about = measured(size)
    figures, bars = judged(spent, size)
    results = Results(
        command=running.command("training_speed"),
        protocol={"training_speed": protocol(size, about)},
        seeds={"training_speed": [SEED]},
        machine=begun | running.load_after(),
        versions=stamped | {"d3rlpy": about["d3rlpy"]["version"], "torch of d3rlpy": about["d3rlpy"]["torch"]},
        figures={"training_speed": figures | about},
        bars=bars,
    )
    running.publish("training_speed", results, not quick, out)


def measured(size: Size, theirs: Path = THEIRS) -> tuple[dict[str, list[tuple[Spent, Spent]]], dict[str, Any]]:
    """What is compared -> round -> what ours and d3rlpy's took; and what both say about themselves."""
    world = {"readers": size.readers, "days": size.days, "seed": SEED}
    settings = {"world": world, "batch": size.batch, "reads": size.reads, "seed": SEED}
    console, spent = Console(stderr=True), {name: [] for name in PAIRS}
    with tempfile.TemporaryDirectory() as name, Progress(console=console, transient=True) as bar:
        folder, task = Path(name), bar.add_task("rounds", total=size.rounds)
        (folder / SETTINGS).write_text(json.dumps(settings))
        ours = Worker(sys.executable, "benchmarks.training_speed.ours", folder, ROOT)
        (folder / SETTINGS).write_text(json.dumps(settings | {"articles": ours.about["articles"]}))
        d3rlpy = Worker(theirs, "benchmarks.training_speed.theirs", folder, ROOT)
        for number in range(size.rounds + 1):
            for pair, modes in PAIRS.items():
                took = ours.take(modes[0], size.steps), d3rlpy.take(modes[1], size.steps)
                if number:  # the first round warms up
                    spent[pair].append(took)
            bar.update(task, completed=number)
        ours.close()
        d3rlpy.close()
    return spent, {"newsrec": ours.about, "d3rlpy": d3rlpy.about}


def judged(spent: dict[str, list[tuple[Spent, Spent]]], size: Size) -> tuple[dict[str, Any], list[Bar]]:
    """Figures of each comparison, and the bars of those on an equal network."""
    figures: dict[str, Any] = {"size": asdict(size)}
    for pair, rounds in spent.items():
        cpu, wall = (
            np.array([[getattr(side, clock) for side in both] for both in rounds]) for clock in ("cpu", "wall")
        )
        rates = size.steps * size.batch / cpu  # [rounds, 2]
        figures[pair] = {
            "transitions_per_cpu_second": {"newsrec": np.median(rates[:, 0]), "d3rlpy": np.median(rates[:, 1])},
            "ratio": ratio(cpu),
            "ratio_by_the_clock": ratio(wall),
            "ratio_of_rounds": np.sort(cpu[:, 1] / cpu[:, 0]),
        }
    bars = [_bar("CQL trained, with drawing the batch", figures["train"]["ratio"])]
    bars.append(_bar("CQL updates alone", figures["update"]["ratio"]))
    return figures, bars


def ratio(took: np.ndarray) -> Mean:
    """How many times as long the second of ``took`` [rounds, 2] is as the first: the geometric mean of the rounds."""
    logs = mean(np.log(took[:, 1] / took[:, 0]))
    return Mean(*np.exp(logs).tolist())


def protocol(size: Size, about: dict[str, Any]) -> str:
    ours, theirs = about["newsrec"], about["d3rlpy"]
    return (
        f"Batches of {size.batch} transitions with up to 100 candidates and {ours['mean_reads']:.0f} reads on average, "
        f"of {ours['transitions']:,} in a simulated log; two processes of one thread take turns, {size.rounds} rounds "
        f"of {size.steps} steps. The same network, without the table of articles: {ours['parameters']:,} parameters "
        f"with our heads, {theirs['parameters']:,} with d3rlpy's last layer. Ratios of CPU time, interval over rounds."
    )


def _bar(name: str, found: Mean) -> Bar:
    return Bar(
        f"{name}, as a multiple of d3rlpy's", found.value, found.interval, f"{LEAST:.0f} or more", found.value >= LEAST
    )


if __name__ == "__main__":
    typer.run(main)
