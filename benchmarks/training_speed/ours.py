"""The process that trains ``newsrec.rl.cql``. It simulates the log and leaves it as arrays for the other process."""

import json
import sys
from itertools import cycle
from pathlib import Path

import numpy as np
import torch

from benchmarks.training_speed.observation import observed
from benchmarks.training_speed.protocol import ARRAYS, BATCHES, SETTINGS, serve
from newsrec import dataset
from newsrec.config import from_mapping
from newsrec.decisions import Decisions
from newsrec.rl.cql import Config, CQLLearner, CQLPolicy
from newsrec.simulator.config import SimulationConfig
from newsrec.simulator.rollout import simulate
from newsrec.transitions import clicked


def main(folder: Path) -> None:
    """Serve ``update``, on batches that lie ready, and ``train``, which draws each batch from the log."""
    torch.set_num_threads(1)
    settings = json.loads((folder / SETTINGS).read_text())
    size, world = settings["batch"], from_mapping(SimulationConfig, settings["world"])
    decisions = dataset.from_log(simulate(world))
    rows = transitions_of(decisions, settings["reads"])
    np.savez(folder / ARRAYS, **arrays(decisions, rows))
    generator = torch.Generator().manual_seed(settings["seed"])
    luck = np.random.default_rng(settings["seed"])
    policy = CQLPolicy(Config(), decisions.catalogue.trained)
    learner = CQLLearner(policy.train(), generator)
    ready = cycle([decisions.batch(luck.choice(rows, size), successors=True) for _ in range(BATCHES)])
    about = {
        "transitions": len(rows),
        "articles": decisions.catalogue.trained,
        "mean_reads": float(decisions.readers.length[rows].mean()),
        "parameters": sum(p.numel() for name, p in policy.named_parameters() if "identity" not in name),
    }
    steps = {
        "update": lambda: learner.update(next(ready)),
        "train": lambda: learner.update(decisions.batch(luck.choice(rows, size), successors=True)),
    }
    serve(about, steps)  # type: ignore[arg-type]


def transitions_of(decisions: Decisions, reads: int) -> np.ndarray:
    """Rows with a successor and a history of at least ``reads``."""
    return np.flatnonzero((decisions.readers.length >= reads) & (decisions.next_row >= 0))


def arrays(decisions: Decisions, rows: np.ndarray) -> dict[str, np.ndarray]:
    """The decisions of ``rows`` and their successors as d3rlpy takes them: observations, one action, a reward.

    ``episode`` numbers the stretches of decisions that follow each other, in whose order all stand. The action is the
    first article that was clicked or, without a click, the first that was shown. Histories and candidates are padded to
    the longest.
    """
    chains = chains_of(decisions.next_row, rows)
    order = np.concatenate(chains)
    batch = decisions.batch(order)
    first = clicked(batch).float().argmax(1, keepdim=True)  # [N, 1], 0 without a click
    found = {"episode": np.repeat(np.arange(len(chains)), list(map(len, chains)))}
    found |= {"action": batch.slate.gather(1, first).numpy(), "reward": batch.reward.numpy()}
    return found | {name: value.numpy() for name, value in observed(batch.state, batch.candidates).items()}


def chains_of(next_row: np.ndarray, rows: np.ndarray) -> list[list[int]]:
    """``rows`` and their successors, each chain from its first row to the one behind its last."""
    starts, inside = set(rows.tolist()) - set(next_row[rows].tolist()), set(rows.tolist())
    chains = []
    for start in sorted(starts):
        chain = [start]
        while chain[-1] in inside:
            chain.append(int(next_row[chain[-1]]))
        chains.append(chain)
    return chains


if __name__ == "__main__":
    main(Path(sys.argv[1]))
