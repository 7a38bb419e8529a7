"""Artefacts that are there already, in a simulated world: what readers do under each."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from newsrec.compare.outcomes import arm
from newsrec.compare.work import actor_of
from newsrec.evaluation.contrast import Contrast, contrast
from newsrec.simulator.config import SimulationConfig
from newsrec.simulator.lives import live_under
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
    actors = {name: actor_of(folder, slate or SlateConfig()) for name, folder in artefacts.items()}
    active = {
        name: arm({seed: live_under(replace(world, seed=seed), actor) for seed in seeds}, "active_days")
        for name, actor in actors.items()
    }
    others = {name: days for name, days in active.items() if name != baseline}
    return {name: contrast(days, active[baseline], confidence) for name, days in others.items()}
