"""The Korean titles are what they claim to be, and the protocol tells sense from words."""

import re

import numpy as np
import pytest

from benchmarks.titles.korean import Similarities, Story, auc, figures, similarities, stories

HANGUL = re.compile(r"[가-힣]")


def pairs_of_characters(title: str) -> set[str]:
    """Neighbouring characters within each word."""
    return {word[i : i + 2] for word in re.findall(r"[\w.%]+", title) for i in range(len(word) - 1)}


def test_titles_are_korean_many_and_all_different() -> None:
    found = stories()
    titles = [title for story in found for title in story[1:]]
    assert len(titles) >= 120
    assert len(set(titles)) == len(titles)
    assert all(len(HANGUL.findall(title)) >= 7 for title in titles)
    assert len({story.topic for story in found}) >= 20


@pytest.mark.parametrize("story", stories(), ids=lambda story: story.title)
def test_one_story_shares_no_words_and_the_unrelated_one_does(story: Story) -> None:
    title, same, sharing = (pairs_of_characters(text) for text in story[1:])
    assert not title & same
    assert len(title & sharing) >= 2


def test_auc_counts_pairs_and_half_of_ties() -> None:
    assert auc(np.array([3.0, 1.0]), np.array([0.0, 1.0, 2.0, 4.0])) == (3 + 1 + 0.5) / 8


def test_who_knows_the_story_wins_and_who_counts_characters_loses() -> None:
    found = stories()
    known = {text: number for number, story in enumerate(found) for text in (story.title, story.same_story)}
    width = 2 * len(found)

    def knowing(titles: list[str]) -> np.ndarray:
        return np.eye(width)[[known.get(title, width - 1 - at) for at, title in enumerate(titles)]]

    words = sorted({pair for story in found for text in story[1:] for pair in pairs_of_characters(text)})

    def counting(titles: list[str]) -> np.ndarray:
        rows = np.array([[word in pairs_of_characters(title) for word in words] for title in titles], float)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    assert figures(similarities(knowing, found))["sharing words"] == (1.0, 1.0, 1.0)
    assert figures(similarities(counting, found))["sharing words"].value == 0.0


def test_the_interval_is_that_of_the_stories() -> None:
    """With n pairs of luck alone the standard error of an AUC is near (6 n) ** -0.5."""
    luck = np.random.default_rng(3).standard_normal((3, 400))
    found = figures(Similarities(luck[0], luck[1], luck[2][:, None]))["sharing words"]
    assert found.low < 0.5 < found.high
    assert found.high - found.low == pytest.approx(2 * 1.96 * (6 * 400) ** -0.5, rel=0.15)
