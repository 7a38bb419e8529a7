"""The page as a document: whole, safe, in order, the same every time, and telling what the files hold."""

import re
import subprocess
import sys
import tomllib
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from typer.testing import CliRunner

from newsrec.cli import app
from newsrec.report.page import parts, render, sections, write_for_gate
from newsrec.report.sources import Ledger, Sources, gather
from tests.conftest import ROOT
from tests.report import runs
from tests.report.markup import Page

NAMES = ["verdict", "policies", "variety", "readers", "categories", "examples"]
NAMES += ["active-days", "elasticity", "retention", "weights", "choice", "ledger"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Sources:
    """A run with everything, joined by a study."""
    root = tmp_path_factory.mktemp("site")
    runs.write_ledger(root, verdicts=7)
    return gather(runs.run(root), study=runs.write_study(root / "study"))


@pytest.fixture(scope="module")
def html(whole: Sources) -> str:
    return render(whole)


@pytest.fixture(scope="module")
def page(html: str) -> Page:
    return Page(html)


def test_every_element_is_closed_and_every_id_stands_once(page: Page) -> None:
    assert page.open == []
    assert len(page.ids) == len(set(page.ids)) > 20


def test_what_is_referred_to_is_there(html: str, page: Page) -> None:
    referred = set(re.findall(r'(?:url\(#|href="#|aria-labelledby=")([\w-]+)', html))
    assert len(referred) > len(NAMES)
    assert referred <= set(page.ids)


def test_headings_go_down_one_level_at_a_time(page: Page) -> None:
    levels = [level for level, _ in page.headings]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_nothing_is_loaded_and_nothing_runs(page: Page, html: str) -> None:
    assert page.fetched == {"data:,"}
    assert not page.all("script")
    assert "@import" not in html
    assert not re.search(r"url\((?!#)", html)
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]


def test_texts_from_data_are_escaped_everywhere(page: Page, html: str) -> None:
    assert "<script" not in html
    assert page.text.count(runs.SCRIPT) >= 5, "an article, a read, a category, a note and a verdict"


def test_figures_say_in_words_what_they_show(page: Page) -> None:
    figures = [a for _, a in page.elements if a.get("role") == "img"]
    assert len(figures) == len(page.all("svg")) > 8
    assert all(re.search(r"\d", figure["aria-label"]) for figure in figures)
    assert all(svg["aria-hidden"] == "true" for svg in page.all("svg"))


def test_tables_have_captions_and_named_rows(page: Page) -> None:
    assert len(page.all("table")) == len(page.all("caption")) > 5
    assert {cell.get("scope") for cell in page.all("th")} == {"col", "row"}


def test_the_same_files_give_the_same_page(whole: Sources, html: str) -> None:
    assert render(whole) == html


def test_sections_stand_in_order_and_each_says_why_it_is_empty() -> None:
    found = parts(Sources("nothing"))
    assert [section.name for section in found] == NAMES
    for section in found:
        (block,) = section.blocks
        assert (block.kind, block.tone) == ("text", "missing")
        assert re.fullmatch(r"[A-Z].{20,}\.", block.text), section.name


def test_what_is_not_there_is_told_at_the_end_of_what_is(whole: Sources) -> None:
    *told, last = sections(replace(whole, slices=None, ledger=Ledger((), ())))
    assert [section.name for section in told] == [
        name for name in NAMES if name not in ("readers", "categories", "ledger", "retention", "weights")
    ]
    assert (last.name, len(last.blocks[0].items)) == ("missing", 5)
    assert last.blocks[0].items[0].text.startswith("New readers and heavy readers: There are no slices here")


def test_colours_are_those_of_the_style_sheet(html: str) -> None:
    drawn = "".join(re.findall(r"<svg.*?</svg>", html, re.DOTALL))
    assert set(re.findall(r"#[0-9a-f]{6}\b", drawn)) <= {"#000000"}  # what matplotlib names and does not show
    used = set(re.findall(r"var\(--([\w]+)\)", html))
    style = html[: html.index("</style>")]
    light, dark = style.split("prefers-color-scheme: dark")
    for variable in used:
        assert f"--{variable}:" in light, variable
        assert f"--{variable}:" in dark, variable


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [x / 12.92 if x <= 0.03928 else ((x + 0.055) / 1.055) ** 2.4 for x in parts]
    return sum(weight * x for weight, x in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize("scheme", [0, 1])
def test_contrast_is_that_of_wcag_in_light_and_dark(html: str, scheme: int) -> None:
    style = html[: html.index("</style>")].split("prefers-color-scheme: dark")[scheme]
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", style))
    pairs = [(name, paper) for paper in ("paper", "raised") for name in ("ink", "quiet", "link", "good", "bad", "open")]
    pairs += [(tone, f"{tone}-back") for tone in ("good", "bad", "open")] + [("ink", "good-back")]
    pairs += [(f"p{i}", "paper") for i in range(7)]
    for name, paper in pairs:
        bright, faint = sorted((luminance(colours[name]), luminance(colours[paper])), reverse=True)
        least = 3.0 if name.startswith("p") else 4.5  # graphics need less than text
        assert (bright + 0.05) / (faint + 0.05) >= least, f"{name} on {paper}"


def test_a_gate_writes_the_page_of_its_run_with_the_ledger_of_the_releases(tmp_path: Path) -> None:
    verdict = runs.run(tmp_path / "site") / "gate" / "verdict"
    for ledger in (0, 2):
        runs.write_ledger(tmp_path, ledger)
        write_for_gate(tmp_path / "page", verdict, tmp_path / "releases", "request/job")
        page = Page((tmp_path / "page").read_text())
        assert page.headings[0] == (1, "request/job")
        assert ("2 verdicts" in page.text) == bool(ledger)


def test_the_command_writes_the_page(tmp_path: Path) -> None:
    runs.run(tmp_path)
    out = tmp_path / "deep" / "page.html"
    answer = CliRunner().invoke(app, ["report", str(tmp_path), "--out", str(out)])
    assert (answer.exit_code, answer.stdout) == (0, f"written to {out}\n")
    assert out.read_text().startswith("<!DOCTYPE html>")


def test_the_command_refuses_a_folder_that_is_no_run(python: Path, tmp_path: Path) -> None:
    program = "import sys; from newsrec.cli import main; sys.argv[1:] = ['report', sys.argv[1]]; main()"
    command, environment = [python, "-c", program, str(tmp_path)], {"PYTHONPATH": str(ROOT)}
    ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, check=False)
    assert ended.returncode == 2
    assert ended.stderr.decode().count("\n") == 1
    assert "expected a run of the training pipeline or a study of compare" in ended.stderr.decode()
    assert not list(tmp_path.iterdir())


def test_a_page_of_json_needs_no_torch(tmp_path: Path) -> None:
    runs.run(tmp_path)
    program = f"import sys; from newsrec.report.page import write; write('page.html', {str(tmp_path)!r}); "
    program += "print([name for name in ('torch', 'newsrec.simulator') if name in sys.modules])"
    command, environment = [sys.executable, "-c", program], {"PYTHONPATH": str(ROOT)}
    found = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, check=True)
    assert found.stdout == b"[]\n"
    assert (tmp_path / "page.html").exists()


def test_what_the_page_is_made_of_is_installed_with_it() -> None:
    data = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    there = {path for path in (ROOT / "newsrec").rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")}
    patterns = [ROOT.joinpath(*package.split("."), name) for package, names in data.items() for name in names]
    assert there == set(patterns)
    assert len(there) == 2
