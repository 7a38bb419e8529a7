"""Vectors of texts are made once, by one encoder, and found by what they are of."""

from pathlib import Path

import numpy as np
import pytest

from newsrec.encoders.text.vector_store import VectorStore


def test_a_text_is_encoded_once_and_found_by_another_process(tmp_path: Path) -> None:
    asked: list[str] = []

    def encode(texts: list[str]) -> np.ndarray:
        asked.extend(texts)
        return np.array([[len(text), 1.0] for text in texts])

    store = VectorStore(tmp_path, "teacher-1")
    assert store.vectors(["rain", "비", "rain"], encode).tolist() == [[4, 1], [1, 1], [4, 1]]
    assert store.vectors(["비", "storms"], encode).tolist() == [[1, 1], [6, 1]]
    again = VectorStore(tmp_path, "teacher-1")
    assert again.vectors(["storms", "rain"], encode).tolist() == [[6, 1], [4, 1]]
    assert asked == ["rain", "비", "storms"]
    assert len(again) == 3


def test_another_encoder_has_a_folder_of_its_own(tmp_path: Path) -> None:
    VectorStore(tmp_path, "a/b-1").vectors(["rain"], lambda texts: np.ones((1, 2)))
    assert VectorStore(tmp_path, "a/b-2").vectors(["rain"], lambda texts: np.zeros((1, 2))).tolist() == [[0, 0]]
    assert {path.name for path in tmp_path.iterdir()} == {"a_b-1", "a_b-2"}


@pytest.mark.parametrize("made", [np.ones((1, 2)), np.array([[1.0, np.nan], [1.0, 1.0]])])
def test_what_is_no_vector_for_each_text_is_not_kept(tmp_path: Path, made: np.ndarray) -> None:
    store = VectorStore(tmp_path, "bad")
    with pytest.raises(ValueError, match=r"1 finite vectors for 2 texts"):
        store.vectors(["rain", "sun"], lambda texts: made)
    assert len(store) == 0
    assert not list(tmp_path.rglob("*.parquet"))
