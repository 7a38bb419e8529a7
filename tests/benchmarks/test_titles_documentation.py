"""docs/titles.md shows what was measured, and its configuration is one that loads."""

import json
import re

import pytest

from benchmarks.results import FOLDER, to_markdown
from benchmarks.titles import tables
from newsrec import config
from newsrec.encoders.text.distillation import StudentConfig
from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "titles.md").read_text(encoding="utf-8")


def test_the_tables_are_those_of_the_benchmark() -> None:
    """Made by ``python -m benchmarks.titles``."""
    figures = json.loads((FOLDER / "titles.json").read_text(encoding="utf-8"))["figures"]
    for table in (tables.orders(figures), tables.korean(figures), to_markdown(FOLDER / "titles.json")):
        assert f"\n{table}" in PAGE


def test_the_line_for_a_multilingual_teacher_loads(tmp_path) -> None:  # type: ignore[no-untyped-def]
    (line,) = re.findall(r"```toml\n(teacher = .*)\n```", PAGE)
    (tmp_path / "student.toml").write_text(line)
    assert config.load(StudentConfig, tmp_path / "student.toml").teacher == "intfloat/multilingual-e5-small"
    assert line in (ROOT / "configs" / "titles" / "student.toml").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", re.findall(r"\]\((?!http)([^)#]+)", PAGE))
def test_what_it_links_to_is_there(path: str) -> None:
    assert (ROOT / "docs" / path).exists()
