"""``python -m benchmarks.explanation``: whether explanations find what truly drove clicks.

A click policy (the transformer) learns from a simulated log whose causes are recorded; its explanations of clicks that
it was not trained on are judged beside references that ask no policy. Each world has a log and a training of its own;
the clicks of a family's worlds are judged together. The full run takes about five minutes of CPU time, ``--quick``
seconds, on so little that its figures mean nothing. Only full runs write ``benchmarks/results``. With ``--folder``
worlds that are done stay there, and the same command goes on with the next one.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
import pyarrow as pa
import torch
import typer
from rich.console import Console
from rich.table import Table

from benchmarks import running
from benchmarks.results import Bar, Part, Results, machine, versions
from newsrec import dataset
from newsrec.config import digest
from newsrec.decisions import time_split
from newsrec.encoders.text import embed_articles
from newsrec.evaluation.explanation import METHODS
from newsrec.evaluation.explanation_judge import REFERENCES, Judged, judge
from newsrec.evaluation.explanation_quality import JudgeConfig, caused_clicks, requests
from newsrec.events import EventLog
from newsrec.files import write_whole
from newsrec.simulator.config import SimulationConfig
from newsrec.simulator.rollout import play
from newsrec.simulator.world import World as Simulated
from newsrec.training import RunConfig, TrainingConfig, train

SEEDS = [41, 42, 43, 44, 45, 46]
"""Of worlds and trainings; the families of responses take turns."""
FAMILIES: tuple[Literal["utility", "cascade"], ...] = ("utility", "cascade")
EXPLAINED = ("integrated_gradients", "rollout")
BEATEN = ("latest_on_topic", "recency", "random")
JUDGE = JudgeConfig()


@dataclass(frozen=True)
class Size:
    """How much is simulated and learnt."""

    worlds: int = 3
    """Of each family."""
    readers: int = 600
    """In each world."""
    days: int = 14
    epochs: int = 10
    """At most."""
    judge: JudgeConfig = JUDGE


FULL, QUICK = Size(), Size(worlds=1, readers=120, days=6, epochs=1, judge=JudgeConfig(steps=2))


class World(NamedTuple):
    """What was found in one world."""

    clicks: int
    """That the policy was not trained on."""
    judged: Judged
    """Those of them in which there is something to find."""


def protocol(size: Size) -> str:
    return (
        f"{size.worlds} worlds of each family, each of {size.readers} readers and {size.days} days of random slates, "
        f"with a transformer of its own, {size.epochs} epochs at most on the first 70 % of decisions; judged on clicks "
        f"of the last 20 % that have {size.judge.min_reads} known reads and a largest cause of {size.judge.min_weight} "
        f"log odds: is it among the first {size.judge.k} reads, and how far does the score fall, in standard "
        f"deviations of candidates, while reads are deleted in {size.judge.steps} steps; differences are paired, "
        "intervals by reader, over the clicks of all worlds of a family."
    )


def recorded(config: SimulationConfig) -> tuple[EventLog, pa.Table]:
    """A log of random slates, and the causes of its clicks."""
    world = Simulated(config, record_causes=True)
    articles = embed_articles(world.newsroom.table)
    recommendations, feedback = (pa.concat_tables(days) for days in zip(*play(world, articles), strict=True))
    assert world.causes is not None
    return EventLog(articles, recommendations, feedback), world.causes.clicks()


def measure(size: Size, folder: Path | None = None) -> Part:
    torch.set_num_threads(1)
    found: dict[str, list[World]] = {family: [] for family in FAMILIES}
    for turn, seed in enumerate(SEEDS[: size.worlds * len(FAMILIES)]):
        family = FAMILIES[turn % len(FAMILIES)]
        config = SimulationConfig(readers=size.readers, days=size.days, seed=seed, response_family=family)
        found[family].append(_done(folder, size, config) if folder else judged_world(size, config))
    figures: dict[str, Any] = {}
    bars: list[Bar] = []
    for name, worlds in found.items():
        whole = together([world.judged for world in worlds])
        figures[name] = {"clicks": sum(world.clicks for world in worlds)} | _figures(whole)
        figures[name]["worlds"] = [_of_world(world.judged) for world in worlds]
        bars += _bars(whole, name)
    return Part({"explanation": figures}, bars)


def _done(folder: Path, size: Size, config: SimulationConfig) -> World:
    """``judged_world``, kept in ``folder`` and read from there where it is done."""
    kept = folder / f"{config.response_family}_{config.seed}_{digest(size.epochs, size.judge, config)}.json"
    if not kept.exists():
        made = judged_world(size, config)
        write_whole(kept, json.dumps([made.clicks, *made.judged], default=np.ndarray.tolist))
    clicks, reader, reads, recall, fall = json.loads(kept.read_text(encoding="utf-8"))
    arrays = ({by: np.array(values, float) for by, values in figure.items()} for figure in (recall, fall))
    return World(clicks, Judged(np.array(reader, np.int64), np.array(reads, np.int64), *arrays))


def judged_world(size: Size, config: SimulationConfig) -> World:
    """Explanations of a policy that is trained in the world ``config``."""
    log, causes = recorded(config)
    training = TrainingConfig(epochs=size.epochs)
    decisions = dataset.from_log(log)
    run = RunConfig(policy="transformer", seed=config.seed, training=training)
    trained = train(decisions, run, Console(stderr=True).print)
    decisions = decisions.numbered_by(trained.catalogue)
    caused = caused_clicks(causes, decisions, requests(log))
    _, _, test = time_split(decisions.time, training.validation, training.test)
    caused = caused.take(np.isin(caused.row, test))
    policy, luck = trained.policy, np.random.default_rng(config.seed)
    return World(len(caused.row), judge(policy, decisions, caused, METHODS, luck, size.judge))  # type: ignore[arg-type]


def together(worlds: Sequence[Judged]) -> Judged:
    """The clicks of ``worlds`` as those of one; their readers are different people."""
    number = np.repeat(np.arange(len(worlds)), [len(world.reader) for world in worlds])
    reader = np.concatenate([world.reader for world in worlds])
    _, person = np.unique(np.stack([number, reader]), axis=1, return_inverse=True)
    recall, fall = (
        {by: np.concatenate([getattr(world, figure)[by] for world in worlds]) for by in (*METHODS, *REFERENCES)}
        for figure in ("recall", "fall")
    )
    return Judged(person.ravel(), np.concatenate([world.reads for world in worlds]), recall, fall)


def _figures(found: Judged) -> dict[str, Any]:
    told: dict[str, Any] = {
        "judged": len(found.reader),
        "readers": len(np.unique(found.reader)),
        "reads": float(found.reads.mean()),
    }
    for name, figure in (("recall", found.recall), ("fall", found.fall)):
        told[name] = {by: found.interval(figure, by, np.random.default_rng(0)) for by in (*METHODS, *REFERENCES)}
        told[f"{name}_over_content_similarity"] = {
            by: found.over(figure, by, "content_similarity", np.random.default_rng(0)) for by in METHODS
        }
    return told


def _of_world(found: Judged) -> dict[str, Any]:
    """Means alone: how far worlds and trainings differ."""
    means = {name: {by: values.mean() for by, values in getattr(found, name).items()} for name in ("recall", "fall")}
    return {"judged": len(found.reader)} | means


def _bars(found: Judged, family: str) -> list[Bar]:
    bars = []
    for name, figure in (("top-3 recall", found.recall), ("deletion curve", found.fall)):
        for method in EXPLAINED:
            for reference in BEATEN:
                more = found.over(figure, method, reference, np.random.default_rng(0))
                title = f"{name}, {method} over {reference}, {family}"
                bars.append(Bar(title, more.mean, (more.low, more.high), "above 0, interval too", more.low > 0))
    return bars


def figures_table(figures: dict[str, Any]) -> Table:
    """Recall and fall of every method and reference, with intervals."""
    table = Table("explanation", *(f"{name}, {family}" for family in figures for name in ("recall", "fall")))
    for by in (*METHODS, *REFERENCES):
        cells = [figures[family][name][by] for family in figures for name in ("recall", "fall")]
        table.add_row(by, *(f"{mean:.3f} [{low:.3f}, {high:.3f}]" for mean, low, high in cells))
    return table


def main(
    quick: Annotated[bool, typer.Option("--quick", help="Seconds, to see that it runs.")] = False,
    out: Annotated[Path | None, typer.Option(help="File for the results, also of a quick run.")] = None,
    folder: Annotated[Path | None, typer.Option(help="Where worlds that are done stay.")] = None,
) -> None:
    """Judge explanations by the simulator's recorded causes."""
    size = QUICK if quick else FULL
    begun = machine()
    found = measure(size, folder)
    results = Results(
        command=running.command("explanation"),
        protocol={"explanation": protocol(size)},
        seeds={"explanation": SEEDS},
        machine=begun | running.load_after(),
        versions=versions(),
        figures=found.figures,
        bars=found.bars,
    )
    Console().print(figures_table(found.figures["explanation"]))
    running.publish("explanation", results, not quick, out)


if __name__ == "__main__":
    typer.run(main)
