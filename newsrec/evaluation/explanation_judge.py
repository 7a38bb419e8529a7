"""Explanations of one policy's clicks beside what anybody would guess: recall of recorded causes and deletion curves.

The references ask no policy: the latest reads on the article's topic, the latest reads, chance, and the reads whose
content is most like the article's.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from newsrec.decisions import Decisions
from newsrec.evaluation.explanation import read_attributions, select
from newsrec.evaluation.explanation_quality import (
    CausedClicks,
    JudgeConfig,
    at_random,
    content_similarity,
    deletion_fall,
    judged,
    latest_on_topic,
    on_topic,
    recency,
    top_k_recall,
)
from newsrec.evaluation.intervals import Interval, clustered_mean, paired_difference
from newsrec.policy import Policy

REFERENCES = ("latest_on_topic", "recency", "random", "content_similarity")
CLICKS_TOGETHER = 512


class Judged(NamedTuple):
    """n judged clicks; figures by method and reference."""

    reader: np.ndarray
    """[n] int64."""
    reads: np.ndarray
    """[n] int64, reads that an explanation chose from."""
    recall: dict[str, np.ndarray]
    """[n] float64 each, of the largest recorded cause among the first k."""
    fall: dict[str, np.ndarray]
    """[n] float64 each, of the score along the deletion curve, in standard deviations between candidates."""

    def interval(self, figure: dict[str, np.ndarray], name: str, generator: np.random.Generator) -> Interval:
        """The mean of ``figure`` (recall or fall) of ``name``, by reader."""
        return clustered_mean(figure[name], self.reader, generator)

    def over(
        self, figure: dict[str, np.ndarray], name: str, reference: str, generator: np.random.Generator
    ) -> Interval:
        """How much more of ``figure`` ``name`` has than ``reference`` on the same clicks, by reader."""
        return paired_difference(figure[name], figure[reference], self.reader, generator)


def judge(
    policy: Policy,
    decisions: Decisions,
    caused: CausedClicks,
    methods: Sequence[str],
    generator: np.random.Generator,
    config: JudgeConfig | None = None,
) -> Judged:
    """``methods`` of explaining ``policy`` and all references on the clicks ``caused`` that can be judged.

    ``decisions`` are numbered by the policy's own catalogue. Raises ValueError where no click can be judged.
    """
    config = config or JudgeConfig()
    clicks = caused.take(judged(caused, config))
    if not len(clicks.row):
        wanted = f"expected one with {config.min_reads} known reads and a cause of {config.min_weight} log odds"
        raise ValueError(f"none of {len(caused.row)} clicks can be judged; {wanted}")
    parts = []
    for start in range(0, len(clicks.row), CLICKS_TOGETHER):
        part = clicks.take(np.arange(start, min(start + CLICKS_TOGETHER, len(clicks.row))))
        parts.append(_judge(policy, decisions, part, methods, generator, config))
    recall, fall = (
        {name: np.concatenate([part[i][name] for part in parts]) for name in (*methods, *REFERENCES)} for i in (0, 1)
    )
    return Judged(decisions.user[clicks.row], (~np.isnan(clicks.weight)).sum(1), recall, fall)


def _judge(
    policy: Policy,
    decisions: Decisions,
    clicks: CausedClicks,
    methods: Sequence[str],
    generator: np.random.Generator,
    config: JudgeConfig,
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Recall and fall."""
    batch, at = decisions.batch(clicks.row), torch.from_numpy(clicks.at)
    state, candidates = batch.state, batch.candidates
    same_topic = on_topic(decisions, clicks)[:, : state.history_mask.shape[1]]
    found = {
        name: read_attributions(policy, state, candidates, at, name).double().numpy()  # type: ignore[arg-type]
        for name in methods
    } | {
        "latest_on_topic": latest_on_topic(state, same_topic),
        "recency": recency(state),
        "random": at_random(state, generator),
        "content_similarity": content_similarity(state, select(candidates, at)),
    }
    recall = {name: top_k_recall(order, clicks, config.k) for name, order in found.items()}
    fall = {name: deletion_fall(policy, state, candidates, at, order, config.steps) for name, order in found.items()}
    return recall, fall
