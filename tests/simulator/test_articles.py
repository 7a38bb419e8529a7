"""What the newsroom publishes: when, with which text, and which traits stay hidden."""

import re

import numpy as np
import pytest
from scipy.stats import chisquare, f

from newsrec import events
from newsrec.encoders.text import embed_articles
from newsrec.features import DAY, HOUR
from newsrec.simulator.articles import DESK_RHYTHM, TOPIC_NAMES, NewsroomConfig, publish
from newsrec.simulator.vocabulary import BAIT_TITLES, TOPICS

MONDAY = 19_786 * DAY  # 4 March 2024


def test_articles_are_valid_events_and_start_one_shelf_life_early() -> None:
    newsroom = publish(NewsroomConfig(shelf_life_hours=30), 20, MONDAY, 3, 0)
    table = events.validate(newsroom.table, "articles")
    assert table.num_rows == 20 * (2 + 3)
    published = events.microseconds(table["published_at"])
    assert (np.diff(published) >= 0).all()
    assert np.bincount((published - MONDAY) // DAY + 2).tolist() == [20] * 5
    assert (published == newsroom.published).all()


def test_publication_follows_the_rhythm_of_the_desk() -> None:
    published = publish(NewsroomConfig(), 500, MONDAY, 10, 1).published
    seen = np.bincount(published % DAY // HOUR, minlength=24)
    assert chisquare(seen, DESK_RHYTHM / DESK_RHYTHM.sum() * len(published)).pvalue > 1e-3


def test_the_words_of_an_article_are_those_of_its_topics() -> None:
    newsroom = publish(NewsroomConfig(), 100, MONDAY, 2, 2)
    for row, topics in zip(newsroom.table.to_pylist(), newsroom.topics, strict=True):
        main, second = row["category"], row["subcategory"]
        assert topics[TOPIC_NAMES.index(main)] == 0.75
        assert topics[TOPIC_NAMES.index(second)] == 0.25
        for text, of_main, of_second in ((row["title"], 2, 1), (row["abstract"], 5, 2)):
            words = re.findall(r"[a-z]+", text.lower())
            assert sum(word in TOPICS[main] for word in words) >= of_main, text
            assert sum(word in TOPICS[second] for word in words) >= of_second, text


def test_clickbait_has_the_configured_mean_and_shows_in_titles() -> None:
    newsroom = publish(NewsroomConfig(clickbait=0.4), 1_000, MONDAY, 4, 3)
    b = newsroom.clickbait
    assert abs(b.mean() - 0.4) < 4 * b.std() / len(b) ** 0.5
    openings = tuple(title.split("{")[0] for title in BAIT_TITLES)
    bait = np.array([title.startswith(openings) for title in newsroom.table["title"].to_pylist()])
    for low, high in ((0.0, 0.3), (0.3, 0.6), (0.6, 1.0)):
        group = (b >= low) & (b < high)
        expected, spread = b[group].mean(), (b[group] * (1 - b[group])).mean() ** 0.5
        assert abs(bait[group].mean() - expected) < 4 * spread / group.sum() ** 0.5


def test_quality_shows_in_nothing_that_is_published() -> None:
    """Regressed on embedding, length and hour, it is explained no better than by chance (F test)."""
    newsroom = publish(NewsroomConfig(), 400, MONDAY, 2, 6)
    embedding = np.array(embed_articles(newsroom.table)["embedding"].to_pylist())
    hour = 2 * np.pi * (newsroom.published % DAY) / DAY
    x = np.column_stack([np.ones(len(hour)), embedding, np.log(newsroom.body_words), np.sin(hour), np.cos(hour)])
    left = newsroom.quality - x @ np.linalg.lstsq(x, newsroom.quality)[0]
    explained = newsroom.quality.var() - left.var()
    p, rest = x.shape[1] - 1, len(x) - x.shape[1]
    assert f.sf(explained / p / (left.var() / rest), p, rest) > 1e-3


def test_longer_simulation_keeps_the_articles_of_the_shorter_one() -> None:
    short, long = (publish(NewsroomConfig(), 30, MONDAY, days, 4) for days in (2, 5))
    assert long.table.slice(0, short.table.num_rows).equals(short.table)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("clickbait", 0.0),
        ("clickbait", 1.0),
        ("shelf_life_hours", 0.0),
        ("main_topic_share", 0.4),
        ("half_life_spread", -1.0),
    ],
)
def test_impossible_newsroom_is_refused_by_name(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{field} is {value}, expected"):
        NewsroomConfig(**{field: value})
