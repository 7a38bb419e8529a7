"""Who comes back under each policy that the demo trained: simulated readers whom no policy has seen."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.table import Table

from newsrec import artifact
from newsrec.artifact import InvalidArtifact
from newsrec.compare.artefacts import lives_under
from newsrec.compare.command import progress
from newsrec.compare.outcomes import OfSeeds, arm, judged
from newsrec.compare.workers import FailedJob
from newsrec.evaluation.contrast import Contrast, contrast
from newsrec.registry import REGISTRY
from newsrec.simulator.config import SimulationConfig
from newsrec.slate import SlateConfig

READERS, DAYS, WORKERS = 1_000, 28, 2
SLATE = SlateConfig("plackett_luce", temperature=0.5)
"""As in ``configs/compare/retention.toml``: the same slate again is worth less to the same reader."""
CLICKS, SUPERVISED = "transformer", "dwell"
"""The click model, and what long-term policies have to beat."""


def unknown(log: SimulationConfig, readers: int = READERS, days: int = DAYS) -> SimulationConfig:
    """The newsroom of ``log`` with readers, articles and luck that are not in it."""
    return replace(log, seed=log.seed + 1, readers=readers, days=days)


def who_comes_back(
    trained: list[Path],
    names: list[str],
    world: SimulationConfig,
    folder: Path,
    console: Console,
    workers: int = WORKERS,
) -> None:
    """Follow the readers of ``world`` under each policy of ``names``; plays that are done stay in ``folder``.

    A failure is told, and changes nothing of what is served.
    """
    console.print(
        f"[bold]3  Who comes back[/] ({world.readers:,} simulated readers, {world.days} days under each policy)\n"
    )
    try:
        lives = play(by_name(trained, names), world, folder, workers)
    except (FailedJob, InvalidArtifact) as error:
        console.print(f"[yellow]Nobody was followed to the end:[/] {error}\n")
        return
    console.print(table(lives, world))
    console.print(f"\n{remarks(lives, world)}\n", markup=False)


def play(
    trained: Mapping[str, Path], world: SimulationConfig, folder: str | Path, workers: int = WORKERS
) -> dict[str, OfSeeds]:
    """Policy -> seed of ``world`` -> the lives of its readers under it.

    What stands in ``folder`` is not played again. Raises InvalidArtifact and FailedJob.
    """
    with progress("simulated readers", workers) as advance:
        return lives_under(trained, world, [world.seed], folder, SLATE, workers, advance)


def by_name(trained: list[Path], names: list[str]) -> dict[str, Path]:
    """The artefacts in the folders ``trained`` by their policies, in the order of ``names``. Raises InvalidArtifact."""
    found = {artifact.load(folder).name: folder for folder in trained}
    return {name: found[name] for name in names}


def table(lives: Mapping[str, OfSeeds], world: SimulationConfig) -> Table:
    """Active days under each policy, against the click model, and the best long-term policy against ``dwell``."""
    title = f"Simulated active days in {world.days} days from assignment, {world.readers:,} readers"
    result = Table(title=title, title_justify="left")
    for column in ("policy", "active days", "difference", "clicks", "minutes read"):
        result.add_column(column, justify="left" if column in ("policy", "difference") else "right")
    for row in _rows(lives):
        result.add_row(*row)
    name, found = best_against_supervised(lives)
    result.add_section()
    result.add_row(f"{name} less {SUPERVISED}", "", told(found), "", "")
    return result


def best_against_supervised(lives: Mapping[str, OfSeeds]) -> tuple[str, Contrast]:
    """The long-term policy with the most active days here, and what it has over ``dwell``."""
    active = {name: arm(of_seeds, "active_days") for name, of_seeds in lives.items()}
    found = {name: contrast(active[name], active[SUPERVISED]) for name in lives if REGISTRY[name].long_term}
    best = max(found, key=lambda name: found[name].difference)
    return best, found[best]


def remarks(lives: Mapping[str, OfSeeds], world: SimulationConfig) -> str:
    """What the table means, and what it does not say."""
    better, _ = best_against_supervised(lives)
    return (
        f"A mean of all readers, those who never came with zero; differences are to {CLICKS}, which learns clicks, in "
        f"the last row to {SUPERVISED}, with 95 % intervals clustered by reader. No policy has seen these readers or "
        "their articles; under each they have the same luck. Slates are drawn by Plackett-Luce at temperature "
        f"{SLATE.temperature}. {better} is the best long-term policy on these very readers, which favours it. This is "
        "one training seed, so the intervals say nothing of another training, and how much reading brings readers back "
        f"(elasticity {world.elasticity:g}) is an assumption: docs/results.md has more of both."
    )


def told(found: Contrast) -> str:
    return f"{found.difference:+.2f} [{found.low:+.2f}, {found.high:+.2f}]"


def _rows(lives: Mapping[str, OfSeeds]) -> Iterator[tuple[str, ...]]:
    levels, contrasts, _ = judged(lives, CLICKS)
    for name, level in levels.items():
        clicks, minutes = level["clicks"].value, level["dwell_minutes"].value
        difference = told(contrasts[name]) if name in contrasts else ""
        yield name, f"{level['active_days'].value:.2f}", difference, f"{clicks:.1f}", f"{minutes:.1f}"
