"""A student of titles: what it learns, what is left of it in int8, and what it makes of bad input."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from newsrec.config import InvalidConfig
from newsrec.encoders import text
from newsrec.encoders.text import hashed
from newsrec.encoders.text.distillation import Network, StudentConfig, distil, fit, projection, save
from newsrec.encoders.text.onnx_file import quantised
from newsrec.encoders.text.student import Student
from newsrec.encoders.text.teacher import lexical
from newsrec.encoders.text.tokens import tokens
from newsrec.events import InvalidEvents, from_rows
from newsrec.features import EMBEDDING_DIM, feature_hash

pytest.importorskip("onnx", reason="the student is written by onnx: pip install newsrec[titles]")
SMALL = StudentConfig(buckets=2_048, width=32, hidden=16, epochs=40, batch=16)
PLACES = ("Seoul", "Busan", "Oslo", "Madrid", "Quito", "Lagos", "Perth", "Kyoto", "Lyon", "Turin")
SUBJECTS = {
    "rain": ("storm floods {} after rain", "heavy rain expected over {}", "{} dries after floods and storm"),
    "market": ("shares fall as {} bank raises rates", "investors in {} sell shares", "rates push {} investors to bank"),
    "match": ("striker scores twice in {} final", "coach of {} praises striker", "cup final in {} won by penalty"),
    "정치": ("{} 국회 예산안 처리", "국회 여야 {} 예산 합의", "{} 의원 예산안 반대"),
}
TITLES = [line.format(place) for lines in SUBJECTS.values() for line in lines for place in PLACES]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    made = tmp_path_factory.mktemp("students") / "student"
    save(distil(SMALL, TITLES, made.parent / "store"), SMALL, made)
    return made


@pytest.fixture
def site(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A site whose encoder is the student."""
    monkeypatch.setenv("NEWSREC_ENCODER", str(folder))
    return folder


def test_a_title_with_a_place_never_seen_is_nearest_to_the_titles_of_its_line(folder: Path) -> None:
    lines = [line for lines in SUBJECTS.values() for line in lines]
    student = Student(folder)
    centres = student.vectors(TITLES).reshape(len(lines), len(PLACES), -1).mean(1)
    found = student.vectors([line.format("Cairo") for line in lines])
    assert (found @ centres.T).argmax(1).tolist() == list(range(len(lines)))


def test_it_learns_what_the_teacher_says_of_titles_that_it_never_saw() -> None:
    vectors = lexical(TITLES, 1)
    turn = projection(vectors)
    untaught, taught = (
        fit(replace(SMALL, held_out=0.3, learning_rate=rate), TITLES, turn(vectors), turn).agreement
        for rate in (1e-9, SMALL.learning_rate)
    )
    assert abs(untaught) < 0.3
    assert taught > untaught + 0.4


def test_int8_says_what_the_network_says_and_is_an_eighth_of_its_table(folder: Path) -> None:
    trained = distil(SMALL, TITLES, folder.parent / "store")
    found = tokens(TITLES, [""] * len(TITLES), SMALL.buckets)
    with torch.no_grad():
        exact = trained.network(*(torch.from_numpy(part) for part in (found.bucket, found.weight, found.offsets[:-1])))
    np.testing.assert_allclose(Student(folder).vectors(TITLES), exact.numpy(), atol=0.02)
    size = (folder / "student.onnx").stat().st_size
    assert size < 1.5 * SMALL.buckets * SMALL.width  # one byte a number, and the rest


def test_each_row_of_the_table_keeps_its_own_scale() -> None:
    table = np.array([[1.0, -0.5, 0.25], [1e-4, 1e-6, -1e-4], [0.0, 0.0, 0.0]])
    numbers, scale = quantised(table)
    assert numbers.dtype == np.int8
    assert numbers[0].tolist() == [127, -64, 32]
    error = np.abs(numbers * scale[:, None].astype(np.float64) - table).max(1)
    assert (error <= np.abs(table).max(1) / 254 + 1e-9).all()


def test_the_same_seed_gives_the_same_student_in_another_process(folder: Path, tmp_path: Path) -> None:
    again = save(distil(SMALL, TITLES[::-1] + TITLES, tmp_path / "store"), SMALL, tmp_path / "again")
    assert again == Student(folder).version
    other = replace(SMALL, seed=2)
    assert save(distil(other, TITLES, tmp_path / "store"), other, tmp_path / "other") != again
    code = "from newsrec.encoders.text import embed; print(embed(['rain in 서울'], [None], ['a/b']).tobytes().hex())"
    environment = {**os.environ, "NEWSREC_ENCODER": str(folder)}
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NEWSREC_ENCODER", str(folder))
        here = text.embed(["rain in 서울"], [None], ["a/b"])
    np.testing.assert_array_equal(np.frombuffer(bytes.fromhex(run.stdout.strip()), np.float32), here[0])


def test_serving_needs_no_torch(folder: Path) -> None:
    code = "import sys; from newsrec.encoders.text import embed; embed(['rain'], [None], [None])\n"
    code += "assert 'onnxruntime' in sys.modules and 'torch' not in sys.modules"
    environment = {**os.environ, "NEWSREC_ENCODER": str(folder)}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)


def test_hangul_syllables_stay_whole() -> None:
    bag = hashed.bag("국회가 예산안을")
    assert {"국", "회", "국회", "예산", "산안"} <= set(bag)
    assert all(0xAC00 <= ord(character) <= 0xD7A3 for token in bag for character in token)
    assert hashed.bag("국회") == hashed.bag("국회")  # taken apart into jamo


@pytest.mark.parametrize("title", ["", "   ", "…!?", "\u0000", "ᚠᚢᚦ", "नमस्ते", "🙂🙂", "a" * 10_000, "\ud800", "한"])
def test_no_title_is_ever_nan(site: Path, title: str) -> None:
    found = text.embed([title, "rain", None], [None] * 3, [None, None, "sports"])
    assert np.isfinite(found).all()
    assert np.linalg.norm(found[0]) == pytest.approx(1.0 if hashed.bag(title) else 0.0, abs=1e-5)
    np.testing.assert_allclose(
        found[1], text.embed(["rain"], [None], [None])[0], atol=1e-6
    )  # whatever stands beside it


def test_no_titles_at_all_are_no_vectors(site: Path) -> None:
    assert text.embed([], [], []).shape == (0, EMBEDDING_DIM)


@pytest.mark.parametrize("titles", [[], [None] * 40, [""] * 40, ["one title"] * 40, TITLES[:9]])
def test_too_few_titles_are_refused_with_their_number(titles: list, tmp_path: Path) -> None:
    with pytest.raises(InvalidConfig, match=f"{len(set(filter(None, titles)))} different titles among {len(titles)}"):
        distil(SMALL, titles, tmp_path)


@pytest.mark.parametrize("broken", ["", "{}", '{"format": 9, "version": "s", "buckets": 8}', "[1]"])
def test_a_folder_that_holds_no_student_is_refused_by_name(folder: Path, tmp_path: Path, broken: str) -> None:
    (tmp_path / "student.onnx").write_bytes((folder / "student.onnx").read_bytes())
    if broken:
        (tmp_path / "encoder.json").write_text(broken)
    with pytest.raises(InvalidConfig, match=rf"{tmp_path.name}.*expected"):
        Student(tmp_path)


def test_articles_of_another_encoder_are_refused_and_its_own_are_kept(site: Path) -> None:
    rows = [{"article_id": name, "published_at": 0, "title": TITLES[at]} for at, name in enumerate("abc")]
    own = text.embed_articles(from_rows("articles", rows))
    assert text.embed_articles(own).equals(own)
    vectors = hashed.vectors([TITLES[0]], [""]).tolist()
    mixed = from_rows("articles", [rows[1], {**rows[0], "embedding": vectors[0]}])
    with pytest.raises(InvalidEvents, match=r"'a' has a vector that is not of student-.*newsrec titles embed"):
        text.embed_articles(mixed)
    again = text.embedded_again(mixed)
    np.testing.assert_allclose(
        again["embedding"].to_pylist(), text.embed([TITLES[1], TITLES[0]], [None] * 2, [None] * 2)
    )


def test_a_vector_without_text_cannot_be_made_again(site: Path) -> None:
    bare = {"article_id": "a", "published_at": 0, "embedding": [1.0] * EMBEDDING_DIM}
    with pytest.raises(InvalidEvents, match=r"'a'.* a vector and neither title"):
        text.embedded_again(from_rows("articles", [bare]))
    untold = text.embedded_again(from_rows("articles", [{**bare, "embedding": None}]))
    assert untold["embedding"].to_pylist() == [[0.0] * EMBEDDING_DIM]


def test_the_feature_hash_is_that_of_this_student(site: Path) -> None:
    assert feature_hash().endswith("+" + json.loads((site / "encoder.json").read_text())["version"])


def test_a_text_of_nothing_stays_zeros_through_the_network() -> None:
    network = Network(SMALL, torch.Generator().manual_seed(0))
    none = torch.zeros(0, dtype=torch.int64), torch.zeros(0), torch.zeros(1, dtype=torch.int64)
    assert not network(*none).any()
