"""Artefacts that are there already, in a simulated world: what readers do under each."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from newsrec import artifact, config
from newsrec.compare.cost import Costs
from newsrec.compare.jobs import Job
from newsrec.compare.outcomes import OfSeeds, judged
from newsrec.compare.scheduling import Step, run
from newsrec.compare.work import read_lives
from newsrec.evaluation.contrast import Contrast
from newsrec.simulator.config import SimulationConfig
from newsrec.slate import SlateConfig


def play_artefacts(
    artefacts: Mapping[str, str | Path],
    baseline: str,
    world: SimulationConfig,
    seeds: Sequence[int],
    slate: SlateConfig | None = None,
    confidence: float = 0.95,
) -> dict[str, Contrast]:
    """Active days under each of ``artefacts`` (name -> folder) against the one named ``baseline``, readers paired.

    ``seeds`` are those of worlds, each with its own readers and articles, and none of them that of a log that somebody
    was trained on. Nobody is trained again: the intervals are about readers and news. Raises InvalidArtifact.
    """
    with TemporaryDirectory() as folder:
        return judged(lives_under(artefacts, world, seeds, folder, slate), baseline, confidence).contrasts


def lives_under(
    artefacts: Mapping[str, str | Path],
    world: SimulationConfig,
    seeds: Sequence[int],
    folder: str | Path,
    slate: SlateConfig | None = None,
    workers: int = 1,
    progress: Callable[[Step], None] | None = None,
) -> dict[str, OfSeeds]:
    """Artefact -> seed of ``world`` -> the lives of its readers, the same for all with the same luck.

    Each is played once: what stands in ``folder`` already is taken from there. Code is not looked at: after a change
    that changes results, take another folder. Raises InvalidArtifact, and what ``scheduling.run`` raises.
    """
    plays = {
        name: {seed: _play(name, Path(where), replace(world, seed=seed), slate or SlateConfig()) for seed in seeds}
        for name, where in artefacts.items()
    }
    jobs = [job for of_seeds in plays.values() for job in of_seeds.values()]
    run(jobs, folder, Costs(folder), workers, progress=progress)
    return {name: {seed: read_lives(job.at(folder)) for seed, job in of.items()} for name, of in plays.items()}


def _play(name: str, where: Path, world: SimulationConfig, slate: SlateConfig) -> Job:
    what: dict[str, Any] = {"artefact": str(where.absolute()), "version": artifact.load(where).version}
    what |= {"world": _plain(world), "slate": _plain(slate)}
    return Job("play", f"play {name}, world {world.seed}", name, what, world.days)


def _plain(values: Any) -> dict[str, Any]:
    return json.loads(json.dumps(config.to_mapping(values)))
