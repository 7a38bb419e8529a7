"""The process that trains d3rlpy's DiscreteCQL, in an environment of its own.

The network is that of ``newsrec.encoders.scorer`` as d3rlpy's encoder, whose features are the scores of the candidates;
actions are positions among them. Beside it d3rlpy's own multi-layer perceptron, of about as many parameters, on the
reader alone: the pooled reads and the context, without candidates.
"""

import dataclasses
import json
import sys
from contextlib import redirect_stdout
from itertools import cycle
from pathlib import Path
from typing import Any

import d3rlpy
import numpy as np
import torch
from d3rlpy.algos import DiscreteCQL, DiscreteCQLConfig
from d3rlpy.dataset import Episode, ReplayBuffer, create_infinite_replay_buffer
from d3rlpy.models import EncoderFactory, VectorEncoderFactory

from benchmarks.training_speed.observation import OBSERVED, restored
from benchmarks.training_speed.protocol import ARRAYS, BATCHES, SETTINGS, Steps, serve
from newsrec.encoders.scorer import HistoryScorer, NetworkConfig


class ScorerEncoder(torch.nn.Module):
    """``HistoryScorer`` on observations."""

    def __init__(self, articles: int) -> None:
        super().__init__()
        self.scorer = HistoryScorer(NetworkConfig(), articles)

    def forward(self, observation: list[torch.Tensor]) -> torch.Tensor:
        """[B, C]"""
        state, candidates = restored(observation)
        return self.scorer.scores(state, candidates).masked_fill(~candidates.mask, 0.0)


@dataclasses.dataclass()
class ScorerFactory(EncoderFactory):
    """Makes it."""

    articles: int = 0

    def create(self, observation_shape: object) -> ScorerEncoder:
        return ScorerEncoder(self.articles)

    @staticmethod
    def get_type() -> str:
        return "newsrec_scorer"


def main(folder: Path) -> None:
    """Serve ``update`` and ``train`` of the same network, and ``mlp_update`` and ``mlp_train`` of d3rlpy's own."""
    torch.set_num_threads(1)
    settings = json.loads((folder / SETTINGS).read_text())
    d3rlpy.seed(settings["seed"])
    with redirect_stdout(sys.stderr):  # which d3rlpy logs to
        about, steps = made(folder, settings)
    serve(about, steps)


def made(folder: Path, settings: dict[str, Any]) -> tuple[dict[str, Any], Steps]:
    """What is served, and what there is to say of it."""
    read = dict(np.load(folder / ARRAYS))
    pooled = read["history_content"].sum(1) / np.maximum(read["reader"][:, :1], 1.0)
    kinds = {
        "": ([read[name] for name in OBSERVED], ScorerFactory(settings["articles"])),
        "mlp_": ([np.concatenate([pooled, read["reader"]], 1)], VectorEncoderFactory([256, 256])),
    }
    steps: Steps = {}
    about: dict[str, Any] = {"version": d3rlpy.__version__, "torch": torch.__version__}
    for name, (observations, encoder) in kinds.items():
        buffer = buffered(observations, read)
        learner = DiscreteCQLConfig(batch_size=settings["batch"], encoder_factory=encoder).create()
        shapes = [column.shape[1:] for column in observations]
        learner.create_impl(shapes if len(shapes) > 1 else shapes[0], read["candidates"].shape[1])
        of_kind, parameters = stepping(learner, buffer, settings["batch"])
        steps |= {name + mode: step for mode, step in of_kind.items()}
        about[f"{name}parameters"] = parameters
    return about | {"transitions": buffer.transition_count}, steps


def stepping(learner: DiscreteCQL, buffer: ReplayBuffer, size: int) -> tuple[Steps, int]:
    """Its steps, and its parameters without a table of articles."""
    ready = cycle([buffer.sample_transition_batch(size) for _ in range(BATCHES)])
    named = learner.impl.modules.q_funcs.named_parameters()
    steps = {
        "update": lambda: learner.update(next(ready)),
        "train": lambda: learner.update(buffer.sample_transition_batch(size)),
    }
    return steps, sum(p.numel() for name, p in named if "identity" not in name)


def buffered(observations: list[np.ndarray], read: dict[str, np.ndarray]) -> ReplayBuffer:
    """The episodes of the log."""
    ends = np.flatnonzero(np.diff(read["episode"])) + 1
    columns = [*observations, read["action"].reshape(-1, 1), read["reward"].astype(np.float32).reshape(-1, 1)]
    episodes = []
    for *observed, action, reward in zip(*(np.split(column, ends) for column in columns), strict=True):
        seen = observed if len(observed) > 1 else observed[0]
        episodes.append(Episode(seen, action, reward, terminated=False))
    return create_infinite_replay_buffer(episodes)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
