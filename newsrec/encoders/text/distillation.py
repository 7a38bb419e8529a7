"""A student that learns what a teacher makes of the site's own titles.

The teacher's vectors are centred and turned onto their EMBEDDING_DIM strongest directions: what all titles have in
common says nothing about any, and the catalogue's vectors are that long. The student is a table of token vectors and a
network with one hidden layer; its loss is the distance to the target and that between all cosines of a batch::

    1 - cos(s_i, t_i) + RELATIONS * (cos(s_i, s_j) - cos(t_i, t_j))^2

A share of the tokens is left out at each step, so that a title is understood by any part of it. Nothing has a constant
term: a text without words stays a vector of zeros. Written from the idea in Hinton et al. 2015 and, for the cosines of
pairs, Park et al. 2019 (https://arxiv.org/abs/1904.05068).
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import safetensors.numpy
import torch
from torch import Tensor, nn
from torch.nn import functional

from newsrec import config as configs
from newsrec.config import InvalidConfig
from newsrec.encoders.text import onnx_file
from newsrec.encoders.text.student import FORMAT, MODEL_FILE, PROJECTION_FILE
from newsrec.encoders.text.teacher import LEXICAL, taught
from newsrec.encoders.text.tokens import Tokens, tokens
from newsrec.features import EMBEDDING_DIM, ENCODER_FILE
from newsrec.files import whole_directory, write_whole

RELATIONS = 10.0
LEAST_TITLES = 10


@dataclass(frozen=True)
class StudentConfig:
    """How a student is made."""

    teacher: str = LEXICAL
    """``lexical``, a package that carries a model, a folder, or a model of the Hugging Face hub."""
    buckets: int = 2**17
    """Rows of the table of token vectors; one byte a number."""
    width: int = 64
    """Numbers in a token's vector."""
    hidden: int = 128
    """Units of the hidden layer."""
    epochs: int = 12
    batch: int = 256
    learning_rate: float = 0.01
    dropped: float = 0.2
    """Share of the tokens that a step leaves out, in [0, 1)."""
    held_out: float = 0.05
    """Share of the titles that the student never sees, by which its agreement with the teacher is told."""
    seed: int = 1

    def __post_init__(self) -> None:
        for name in ("buckets", "width", "hidden", "epochs", "batch"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}, expected 1 or more")
        if not self.learning_rate > 0.0:
            raise ValueError(f"learning_rate is {self.learning_rate}, expected a number above 0")
        for name in ("dropped", "held_out"):
            if not 0.0 <= getattr(self, name) < 1.0:
                raise ValueError(f"{name} is {getattr(self, name)}, expected a share in [0, 1)")


class Projection(NamedTuple):
    """From W numbers to EMBEDDING_DIM."""

    mean: np.ndarray  # [W]
    directions: np.ndarray  # [W, EMBEDDING_DIM], zeros where there are fewer directions

    def __call__(self, vectors: np.ndarray) -> np.ndarray:
        """[n, EMBEDDING_DIM] float32 of length 1, zeros for a vector without anything of its own."""
        turned = (vectors - self.mean) @ self.directions
        return (turned / np.maximum(np.linalg.norm(turned, axis=1, keepdims=True), 1e-12)).astype(np.float32)


def projection(vectors: np.ndarray) -> Projection:
    """That which keeps most of the variance of ``vectors`` [n, W] (principal components)."""
    mean = vectors.mean(0)
    values, found = np.linalg.eigh(np.cov(vectors - mean, rowvar=False).reshape(len(mean), -1))
    directions = np.zeros((len(mean), EMBEDDING_DIM))
    kept = min(EMBEDDING_DIM, len(mean))
    directions[:, :kept] = found[:, np.argsort(-values)[:kept]]
    return Projection(mean.astype(np.float32), directions.astype(np.float32))


class Network(nn.Module):
    """Tokens to vectors, as ``onnx_file`` writes it."""

    def __init__(self, config: StudentConfig, generator: torch.Generator) -> None:
        super().__init__()

        def drawn(rows: int, columns: int, scale: float) -> nn.Parameter:
            return nn.Parameter(scale * torch.randn(rows, columns, generator=generator))

        self.table = drawn(config.buckets, config.width, config.width**-0.5)
        self.straight = drawn(config.width, EMBEDDING_DIM, config.width**-0.5)
        self.first = drawn(config.width, config.hidden, config.width**-0.5)
        self.second = drawn(config.hidden, EMBEDDING_DIM, 0.1 * config.hidden**-0.5)

    def forward(self, bucket: Tensor, weight: Tensor, offsets: Tensor) -> Tensor:
        """[n, EMBEDDING_DIM] of length 1: ``bucket`` and ``weight`` [M], ``offsets`` [n]."""
        bag = functional.embedding_bag(
            bucket, self.table, offsets, per_sample_weights=weight, mode="sum", sparse=True
        )  # [n, W]
        return functional.normalize(bag @ self.straight + (bag @ self.first).relu() @ self.second, dim=1)


class Trained(NamedTuple):
    """A student and what is known of it."""

    network: Network
    projection: Projection
    agreement: float
    """Mean cosine to the teacher's vectors over titles that it never saw; NaN without any."""
    titles: int


def distil(
    config: StudentConfig,
    titles: Sequence[str | None],
    store: Path,
    progress: Callable[[int, int], None] | None = None,
) -> Trained:
    """A student of ``titles``; the teacher's vectors are looked up in, or added to, ``store``. Raises InvalidConfig."""
    texts = sorted({title.strip() for title in titles if title and title.strip()})
    if len(texts) < LEAST_TITLES:
        found = f"found {len(texts)} different titles among {len(titles)} articles"
        raise InvalidConfig(f"{found}, expected at least {LEAST_TITLES}: a student learns from the site's own titles")
    vectors = taught(config.teacher, texts, store, config.seed, progress)
    turn = projection(vectors)
    return fit(config, texts, turn(vectors), turn, progress)


def fit(
    config: StudentConfig,
    texts: Sequence[str],
    target: np.ndarray,
    turn: Projection,
    progress: Callable[[int, int], None] | None = None,
) -> Trained:
    """A student of ``texts`` whose vectors should be ``target`` [n, EMBEDDING_DIM]."""
    generator, rng = torch.Generator().manual_seed(config.seed), np.random.default_rng(config.seed)
    network, found = Network(config, generator), tokens(texts, [""] * len(texts), config.buckets)
    order = rng.permutation(len(texts))
    unseen, seen = np.split(order, [int(config.held_out * len(texts))])
    others = [network.straight, network.first, network.second]
    optimizers = [
        torch.optim.SparseAdam([network.table], config.learning_rate),
        torch.optim.Adam(others, 0.1 * config.learning_rate),
    ]
    for epoch in range(config.epochs):
        rate = 1.0 - epoch / config.epochs
        for optimizer, full in zip(optimizers, (1.0, 0.1), strict=True):
            optimizer.param_groups[0]["lr"] = full * rate * config.learning_rate
        shuffled = rng.permutation(seen)
        for start in range(0, len(shuffled), config.batch):
            rows = shuffled[start : start + config.batch]
            of = found.of(rows)
            kept = rng.random(len(of.weight)) >= config.dropped
            made = network(*_tensors(of._replace(weight=of.weight * kept)))
            loss = _loss(made, torch.from_numpy(target[rows]))
            for optimizer in optimizers:
                optimizer.zero_grad()
            loss.backward()
            for optimizer in optimizers:
                optimizer.step()
        if progress:
            progress(epoch + 1, config.epochs)
    with torch.no_grad():
        made = network(*_tensors(found.of(unseen))).numpy()
    agreement = float((made * target[unseen]).sum(1).mean()) if len(unseen) else float("nan")
    return Trained(network, turn, agreement, len(texts))


def save(trained: Trained, config: StudentConfig, directory: str | Path) -> str:
    """Write the folder of a student, whole or not at all, and return its version."""
    network = trained.network
    names = ("table", "straight", "first", "second")
    model = onnx_file.model(*(getattr(network, name).detach().numpy() for name in names))
    settings = configs.to_mapping(config)
    about = {"format": FORMAT, "teacher": config.teacher, "buckets": config.buckets, "titles": trained.titles}
    about |= {"agreement": None if np.isnan(trained.agreement) else round(trained.agreement, 4), "config": settings}
    version = f"student-{configs.digest([about, model.hex()])[:12]}"
    with whole_directory(directory) as partial:
        (partial / MODEL_FILE).write_bytes(model)
        (partial / PROJECTION_FILE).write_bytes(safetensors.numpy.save(trained.projection._asdict()))
        write_whole(partial / ENCODER_FILE, json.dumps({"version": version, **about}, indent=1))
    return version


def _loss(made: Tensor, target: Tensor) -> Tensor:
    """Of ``made`` and ``target`` [n, EMBEDDING_DIM]."""
    relations = (made @ made.T - target @ target.T).square().mean()
    return 1.0 - (made * target).sum(1).mean() + RELATIONS * relations


def _tensors(of: Tokens) -> tuple[Tensor, Tensor, Tensor]:
    return torch.from_numpy(of.bucket), torch.from_numpy(of.weight), torch.from_numpy(of.offsets[:-1])
