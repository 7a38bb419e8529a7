"""What all peers have in common: the artefact, and scores from features as they come out of Feast's HTTP server."""

import base64
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from newsrec import artifact, transitions
from newsrec.features import HOUR, POPULARITY_HALF_LIFE_HOURS, READER_FEATURES
from newsrec.transitions import Readers

BYTES = [feature.name for feature in READER_FEATURES if feature.dtype == "bytes"]
COUNTS = list(POPULARITY_HALF_LIFE_HOURS)


class Articles(NamedTuple):
    """Features of C candidates."""

    ids: list[str]
    content: np.ndarray  # [C, E] float32
    published_at: np.ndarray  # [C] int64, microseconds
    counts: np.ndarray  # [C, 4] float64
    as_of: np.ndarray  # [C] int64, microseconds


class Scorer:
    """Scores by the artefact in ``directory``, one torch thread."""

    def __init__(self, directory: str | Path) -> None:
        torch.set_num_threads(1)
        self.artifact = artifact.load(directory)
        catalogue = self.artifact.catalogue
        _ = catalogue.content, catalogue.short_keys, catalogue.rows([]), catalogue.rows_of_keys(np.zeros(1, np.uint64))

    def __call__(self, reader: Mapping[str, Any], articles: Articles, now: int) -> np.ndarray:
        """[C] float32 for a ``reader`` with READER_FEATURES."""
        catalogue, timed = self.artifact.catalogue, self.artifact.use_time
        readers, moment = Readers.from_rows([reader]), np.array([now])
        state = transitions.state(readers, moment, np.array([0]), catalogue, timed)
        rows = catalogue.rows(articles.ids)[None]  # [1, C]
        offered = transitions.candidates(
            rows, readers, articles.counts[None], articles.as_of[None], moment, catalogue, timed
        )
        hours = np.maximum(now - articles.published_at, 0) / HOUR * timed
        content, age = articles.content[None], hours[None].astype(np.float32)
        offered = offered._replace(content=torch.from_numpy(content), age_hours=torch.from_numpy(age))
        with torch.inference_mode():
            return self.artifact.policy.scores(state, offered)[0].numpy()


def asked(payload: Mapping[str, Any]) -> tuple[str, int]:
    """The reader of a request and the moment that it is for."""
    (instance,) = payload["instances"]
    return instance["user_id"], instance.get("time") or time.time_ns() // 1_000


def columns(answer: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Feature -> value of each row, from an answer of Feast's server, whose order is its own; bytes still in base64."""
    names, results = answer["metadata"]["feature_names"], answer["results"]
    return {name.rpartition("__")[2]: result["values"] for name, result in zip(names, results, strict=True)}


def reader_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """One reader's features, from base64 where they are bytes."""
    return {**values, **{name: base64.b64decode(values[name]) if values[name] else None for name in BYTES}}


def articles_of(columns: Mapping[str, Sequence[Any]]) -> Articles:
    """Candidates from columns by name."""
    return Articles(
        list(columns["article_id"]),
        np.array(columns["embedding"], np.float32),
        np.array(columns["published_at"], np.int64),
        np.array([columns[name] for name in COUNTS], np.float64).T,
        np.array(columns["as_of"], np.int64),
    )
