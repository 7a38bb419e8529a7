"""Can clicks be learned from a simulated log, and can the probabilities be believed?

A small click model sees what a site has (``newsrec.transitions``: history, context, content, demand, position) and is
fitted to the slates of some readers in the first days. It is judged on *other* readers in *later* days::

    logit = position + network(context, demand, affinity) + content . v + (A history) . (A content)

A constant is calibrated as well, but orders nothing: AUC 1/2. The last world is broken on purpose: its click
probability goes through a second sigmoid, which squashes all of them into [.50, .73], and with that the same test must
fail.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.results import Bar, Part
from newsrec import dataset
from newsrec.decisions import Decisions
from newsrec.encoders.article import DEMAND_FEATURES, demand_features
from newsrec.evaluation.resampling import Resampled, resample
from newsrec.evaluation.weighted import Weighted
from newsrec.features import DAY, EMBEDDING_DIM
from newsrec.simulator.config import SimulationConfig
from newsrec.simulator.response import Encounter, ResponseFamily
from newsrec.simulator.rollout import simulate
from newsrec.simulator.world import RESPONSES
from newsrec.transitions import CONTEXT_DIM, Transitions, clicked, shown

LEAST_AUC, LARGEST_ERROR = 0.70, 0.02
BINS = 15


SEEDS = [11]


@dataclass(frozen=True)
class Size:
    """How much is simulated and fitted."""

    readers: int = 4_000
    days: int = 28
    train_days: int = 20
    passes: int = 6
    """Over the training decisions."""
    draws: int = 300
    """Resamples of the held-out readers."""


FULL, QUICK = Size(), Size(readers=150, days=6, train_days=4, passes=1, draws=20)


def protocol(size: Size) -> str:
    return (
        f"{size.readers:,} readers, {size.days} days of uniform slates in a world of each response family, and in one "
        f"of a double sigmoid with a quarter of the readers; fitted to two thirds of them in {size.train_days} days, "
        "judged on the others in the later ones; intervals resample readers."
    )


@dataclass(frozen=True)
class Judged:
    """M shown articles of held-out readers in later days."""

    reader: np.ndarray  # [M] int64, numbered from 0
    chance: np.ndarray  # [M] predicted
    clicked: np.ndarray  # [M] bool


def measure(size: Size) -> Part:
    """AUC and calibration error in worlds of both families, and of a double sigmoid."""
    figures: dict[str, dict[str, object]] = {}
    bars = []
    for family in RESPONSES:
        config = SimulationConfig(
            readers=size.readers,
            days=size.days,
            seed=SEEDS[0],
            response_family=family,  # type: ignore[arg-type]
        )
        ordered, off = _bars(family, judged(config, size), size, figures)
        bars += [ordered, off]
        with double_sigmoid(family):
            fewer = replace(config, readers=size.readers // 4)
            ordered, off = _bars(f"{family}, double sigmoid", judged(fewer, size), size, figures)
        fails = not (ordered.met and off.met)
        bars.append(ordered._replace(name=f"click AUC on a {family} double sigmoid", bar="the test fails", met=fails))
    return Part({"click_model": figures}, bars)


def _bars(world: str, found: Judged, size: Size, figures: dict[str, dict[str, object]]) -> tuple[Bar, Bar]:
    readers, generator = int(found.reader.max()) + 1, np.random.default_rng(SEEDS[0])
    of = {name: resample(f(found), readers, generator, size.draws) for name, f in MEASURES.items()}
    values = {name: (float(x.value[0]), _ends(x)) for name, x in of.items()}
    figures[world] = {
        **{name: {"value": value, "interval": interval} for name, (value, interval) in values.items()},
        "click_rate": float(found.clicked.mean()),
        "held_out_readers": readers,
        "shown": len(found.clicked),
        "auc_of_a_constant": 0.5,
    }
    (order, order_at), (error, error_at) = values["auc"], values["calibration_error"]
    return (
        Bar(f"click AUC, {world}", order, order_at, f"{LEAST_AUC:.2f} or more", order >= LEAST_AUC),
        Bar(f"calibration error, {world}", error, error_at, f"{LARGEST_ERROR} or less", error <= LARGEST_ERROR),
    )


class ClickModel(nn.Module):
    """A click's logit for every shown article."""

    def __init__(self, positions: int, width: int = 32) -> None:
        super().__init__()
        self.position = nn.Parameter(torch.full((positions,), -2.5))
        self.content = nn.Linear(EMBEDDING_DIM, 1, bias=False)
        self.taste = nn.Linear(EMBEDDING_DIM, width, bias=False)
        self.network = nn.Sequential(
            nn.Linear(CONTEXT_DIM + len(DEMAND_FEATURES) + 2, width), nn.GELU(), nn.Linear(width, 1)
        )

    def forward(self, batch: Transitions) -> Tensor:
        """[B, K] for the articles of the slate."""
        state, article = batch.state, shown(batch)
        reads = state.history_mask.sum(1, keepdim=True)  # [B, 1]
        history = (state.history_content * state.history_mask[..., None]).sum(1) / (reads + 1.0)  # [B, E]
        liking = (self.taste(history)[:, None] * self.taste(article.content)).sum(-1)  # [B, K]
        near = article.content @ state.history_content.transpose(1, 2)  # [B, K, H]
        nearest = near.masked_fill(~state.history_mask[:, None], 0.0).amax(-1)  # [B, K]
        context = state.context[:, None].expand(-1, liking.shape[1], -1)  # [B, K, X]
        alike = (article.content @ history[..., None]).squeeze(-1)  # [B, K]
        inputs = torch.cat([context, demand_features(article), alike[..., None], nearest[..., None]], -1)
        free = self.network(inputs).squeeze(-1) + self.content(article.content).squeeze(-1)  # [B, K]
        return self.position[: liking.shape[1]] + free + liking


def _ends(found: Resampled) -> tuple[float, float]:
    low, high = found.band(0.95)
    return float(low[0]), float(high[0])


def fitted(decisions: Decisions, rows: np.ndarray, passes: int, seed: int) -> ClickModel:
    """The model after ``passes`` over the decisions ``rows``, by Adam with a rate that falls to 0."""
    generator = torch.Generator().manual_seed(seed)
    model = ClickModel(int(np.diff(decisions.slate.offsets).max()))
    for parameter in model.parameters():
        if parameter.dim() > 1:
            nn.init.normal_(parameter, std=parameter.shape[1] ** -0.5, generator=generator)
    batches = -(-len(rows) // 256)
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.01, passes * batches)
    for _ in range(passes):
        order = rows[torch.randperm(len(rows), generator=generator).numpy()]
        for part in np.array_split(order, batches):
            batch = decisions.batch(part)
            loss = nn.functional.binary_cross_entropy_with_logits(
                model(batch), clicked(batch).float(), batch.slate_mask.float()
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return model


def judged(config: SimulationConfig, size: Size) -> Judged:
    """Simulate, fit, predict. Every third reader is held out."""
    decisions = dataset.from_log(simulate(config))
    held_out = decisions.user % 3 == 0
    late = decisions.time >= config.start_time + size.train_days * DAY
    model = fitted(decisions, np.flatnonzero(~held_out & ~late), size.passes, config.seed)
    rows = np.flatnonzero(held_out & late)
    parts = []
    with torch.inference_mode():
        for part in np.array_split(rows, -(-len(rows) // 1_024)):
            batch = decisions.batch(part)
            mask = batch.slate_mask.numpy()
            reader = np.broadcast_to(decisions.user[part, None], mask.shape)
            parts.append([x[mask] for x in (reader, model(batch).sigmoid().numpy(), clicked(batch).numpy())])
    reader, chance, happened = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Judged(np.unique(reader, return_inverse=True)[1], chance.astype(float), happened)


def auc(found: Judged) -> Weighted:
    """[1] The share of pairs (clicked, not clicked) in the right order, ties a half; readers carry weights."""
    values, group = np.unique(found.chance, return_inverse=True)

    def weighted(weight: np.ndarray) -> np.ndarray:
        w = weight[found.reader]
        clicks, others = (np.bincount(group, w * side, len(values)) for side in (found.clicked, ~found.clicked))
        below = np.cumsum(others) - others / 2.0
        return np.array([(clicks * below).sum() / (clicks.sum() * others.sum())])

    return weighted


def calibration_error(found: Judged, bins: int = BINS) -> Weighted:
    """[1] Expected calibration error: over bins of equally many, the mean of |clicks - predicted| (Naeini 2015)."""
    rank = np.argsort(np.argsort(found.chance, kind="stable"), kind="stable")
    bin_ = rank * bins // len(rank)

    def weighted(weight: np.ndarray) -> np.ndarray:
        w = weight[found.reader]
        return np.array([np.abs(np.bincount(bin_, w * (found.clicked - found.chance), bins)).sum() / w.sum()])

    return weighted


MEASURES = {"auc": auc, "calibration_error": calibration_error}


class _Squashed:
    """A family of responses whose chance of a click goes through a second sigmoid, as KuaiSim's does."""

    def __init__(self, family: ResponseFamily) -> None:
        self._chance = family.chance

    def chance(self, encounter: Encounter) -> Tensor:
        return torch.sigmoid(self._chance(encounter)).masked_fill(encounter.known, 0.0)


@contextmanager
def double_sigmoid(family: str) -> Iterator[None]:
    """Within it, new worlds of the response ``family`` are broken."""
    sound = RESPONSES[family]

    def broken(config: object, seed: int) -> ResponseFamily:
        made = sound(config, seed)
        made.chance = _Squashed(made).chance  # type: ignore[method-assign]
        return made

    with patch.dict(RESPONSES, {family: broken}):
        yield
