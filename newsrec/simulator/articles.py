"""What the newsroom publishes: articles with a text that shows their topics, and hidden traits that readers react to.

Text carries topic and, partly, clickbait; quality is hidden and shows only in how readers respond.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from newsrec.events import ARTICLES, TIME
from newsrec.features import DAY, HOUR, article_key
from newsrec.simulator import draws
from newsrec.simulator.parameters import BETWEEN, NOT_NEGATIVE, POSITIVE, Range, assumed, refuse_impossible
from newsrec.simulator.shocks import NO_SHOCKS, Shocks
from newsrec.simulator.vocabulary import ABSTRACT, BAIT_TITLES, PLAIN_TITLES, TOPICS

TOPIC_NAMES = tuple(TOPICS)
MAIN_SHARE = Range("a share in [0.5, 1)", lambda x: 0.5 <= x < 1)
DESK_RHYTHM = np.array([1, 1, 1, 1, 2, 4, 7, 9, 9, 8, 7, 7, 8, 7, 7, 7, 8, 8, 7, 6, 5, 4, 3, 2], float)
"""Relative rate of publication in each hour of the day, UTC."""


@dataclass(frozen=True)
class NewsroomConfig:
    """The supply of articles."""

    shelf_life_hours: float = assumed(48.0, "age at which an article stops being a candidate", POSITIVE)
    half_life_hours: float = assumed(14.0, "median time in which an article's freshness halves", POSITIVE)
    half_life_spread: float = assumed(0.5, "standard deviation of its log between articles", NOT_NEGATIVE)
    main_topic_share: float = assumed(0.75, "weight of the first of an article's two topics", MAIN_SHARE)
    clickbait: float = assumed(0.25, "mean clickbait; most articles have little and a few much", BETWEEN)
    """An article's is ``u ** (1 / clickbait - 1)``."""
    body_words: float = assumed(500.0, "median length of a body", POSITIVE)

    def __post_init__(self) -> None:
        refuse_impossible(self)


class Newsroom(NamedTuple):
    """A articles in order of publication; T topics."""

    table: pa.Table
    """The article events: all that the world outside sees. Embeddings are null."""
    key: np.ndarray  # [A] uint64, features.article_key
    published: np.ndarray  # [A] int64, microseconds
    half_life: np.ndarray  # [A] float64, hours
    topics: np.ndarray  # [A, T] float32, sums to 1
    quality: np.ndarray  # [A] float64, standard normal
    clickbait: np.ndarray  # [A] float64 in (0, 1)
    body_words: np.ndarray  # [A] int64


class Traits(NamedTuple):
    """What readers react to of A articles: columns of a newsroom as tensors on one device."""

    published: Tensor  # [A] int64, microseconds
    half_life: Tensor  # [A] float64, hours
    topics: Tensor  # [A, T] float32
    quality: Tensor  # [A] float64
    clickbait: Tensor  # [A] float64
    body_words: Tensor  # [A] float64

    @classmethod
    def of(cls, newsroom: Newsroom, device: torch.device) -> "Traits":
        columns = {name: getattr(newsroom, name) for name in cls._fields} | {
            "body_words": newsroom.body_words.astype(np.float64)
        }
        return cls(**{name: torch.from_numpy(column).to(device) for name, column in columns.items()})


def publish(
    config: NewsroomConfig, per_day: int, start: int, days: int, seed: int, shocks: Shocks = NO_SHOCKS
) -> Newsroom:
    """Articles from one shelf life before ``start`` (microseconds, a midnight UTC) until ``days`` later.

    During a shock there are more, and what is more is on its topic.
    """
    before = int(np.ceil(config.shelf_life_hours * HOUR / DAY))
    number = np.arange(per_day * (before + days))
    published = np.sort(start + (number // per_day - before) * DAY + _moment_of_day(seed, number))
    main = (draws.bits(seed, "main topic", number) % np.uint64(len(TOPIC_NAMES))).astype(np.int64)
    shock, extra = _extra(shocks, per_day)
    moment = shocks.start[shock] + (draws.uniform(seed, "publication", extra) * _length(shocks)[shock]).astype(np.int64)
    in_time = moment < start + days * DAY
    number, published = np.append(number, extra[in_time]), np.append(published, moment[in_time])
    main = np.append(main, shocks.topic[shock[in_time]])
    order = np.argsort(published, kind="stable")
    number, published, main = number[order], published[order], main[order]

    step = draws.bits(seed, "second topic", number) % np.uint64(len(TOPIC_NAMES) - 1)
    second = (main + step.astype(np.int64) + 1) % len(TOPIC_NAMES)  # never the main one
    topics = np.zeros((len(number), len(TOPIC_NAMES)), np.float32)
    row = np.arange(len(number))
    topics[row, main] = config.main_topic_share
    topics[row, second] = 1.0 - config.main_topic_share
    clickbait = draws.uniform(seed, "clickbait", number) ** (1.0 / config.clickbait - 1.0)
    body_words = np.round(config.body_words * np.exp(0.5 * draws.normal(seed, "body words", number)))
    body_words = np.maximum(body_words, 50).astype(np.int64)
    ids = [f"s{seed}-a{n:06d}" for n in row]
    table = pa.table(
        {
            **{field.name: pa.nulls(len(number), field.type) for field in ARTICLES},
            "article_id": ids,
            "published_at": pa.array(published).cast(TIME),
            "category": [TOPIC_NAMES[t] for t in main],
            "subcategory": [TOPIC_NAMES[t] for t in second],
            "body_length": pa.array(body_words, pa.int32()),
            **_texts(seed, number, main, second, clickbait),
        }
    )
    return Newsroom(
        table=table,
        key=np.array([article_key(article_id) for article_id in ids], np.uint64),
        published=published,
        half_life=config.half_life_hours * np.exp(config.half_life_spread * draws.normal(seed, "half-life", number)),
        topics=topics,
        quality=draws.normal(seed, "quality", number),
        clickbait=clickbait,
        body_words=body_words,
    )


def _extra(shocks: Shocks, per_day: int) -> tuple[np.ndarray, np.ndarray]:
    """Row of the shock and number of each article that the shocks bring: both [X] int64."""
    count = np.round(per_day * shocks.supply * _length(shocks) / DAY).astype(np.int64)
    shock = np.repeat(np.arange(len(count)), count)
    return shock, (shocks.start[shock] // DAY << 32) + np.arange(len(shock)) - (np.cumsum(count) - count)[shock]


def _length(shocks: Shocks) -> np.ndarray:
    return shocks.end - shocks.start


def _moment_of_day(seed: int, number: np.ndarray) -> np.ndarray:
    """Microseconds after midnight, by the desk's rhythm. [A] int64"""
    share = np.concatenate([[0.0], np.cumsum(DESK_RHYTHM) / DESK_RHYTHM.sum()])
    hours = np.interp(draws.uniform(seed, "publication", number), share, np.arange(25.0))
    return np.minimum((hours * HOUR).astype(np.int64), DAY - 1)


def _texts(
    seed: int, number: np.ndarray, main: np.ndarray, second: np.ndarray, clickbait: np.ndarray
) -> dict[str, list[str]]:
    """Columns title and abstract. The last word of a title and two of an abstract belong to the second topic."""
    bait = draws.uniform(seed, "bait title", number) < clickbait
    sentence = draws.bits(seed, "sentence", number)
    order = draws.bits(seed, "words", number[:, None], np.arange(22)).argsort(1)  # [A, words of a topic]
    titles, abstracts = [], []
    for n in range(len(number)):
        first, other = TOPICS[TOPIC_NAMES[main[n]]], TOPICS[TOPIC_NAMES[second[n]]]
        sentences = BAIT_TITLES if bait[n] else PLAIN_TITLES
        words = [first[i] for i in order[n, :7]]
        extra = [other[i] for i in order[n, 7:10]]
        title = sentences[int(sentence[n]) % len(sentences)].format(words[0], words[1], extra[0])
        titles.append(title[0].upper() + title[1:])
        abstracts.append(ABSTRACT.format(*words[2:7], *extra[1:]))
    return {"title": titles, "abstract": abstracts}
