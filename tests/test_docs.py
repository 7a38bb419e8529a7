"""The pages under docs/ and the two READMEs: links lead somewhere, and the design page shows the tree that is there."""

import re
from functools import cache
from pathlib import Path

import pytest

from tests.test_architecture import LAYERS

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("README*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("benchmarks/**/*.md")])
FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")


@cache
def prose(page: Path) -> str:
    """The page without its fenced blocks."""
    return FENCED.sub("", page.read_text(encoding="utf-8"))


@cache
def anchors(page: Path) -> set[str]:
    """What the headings of the page are called in links."""
    headings = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def leads_somewhere(page: Path, link: str) -> bool:
    path, _, heading = link.partition("#")
    target = page.parent / path if path else page
    return target.exists() and (not heading or heading in anchors(target))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_each_link_within_the_repository_leads_somewhere(page: Path) -> None:
    links = [link for link in LINK.findall(prose(page)) if "://" not in link]
    assert not [link for link in links if not leads_somewhere(page, link)]


def test_a_link_to_nothing_is_found() -> None:
    page = ROOT / "README.md"
    assert leads_somewhere(page, "docs/gate.md#the-four-verdicts")
    assert not leads_somewhere(page, "docs/gate.md#the-five-verdicts")
    assert not leads_somewhere(page, "docs/gates.md")


def test_the_design_page_shows_the_layers() -> None:
    rows = re.findall(r"^\| (\d'?) \| (.*?) \|", prose(ROOT / "docs/design.md"), re.MULTILINE)
    names = {layer: " ".join(re.findall("`([^`]*)`", modules)) for layer, modules in rows}
    shown = {layer: set(text.replace("/*", "").replace("/", ".").split()) for layer, text in names.items()}
    assert shown == {layer: set(parts.split()) for layer, parts in LAYERS.items()}


def test_the_design_page_names_each_file_of_the_servers() -> None:
    _, _, section = prose(ROOT / "docs/design.md").partition("## Two servers\n")
    table = re.findall(r"^\|[^|]*\| (.*) \|$", section.partition("\n## ")[0], re.MULTILINE)
    named = " ".join(re.findall("`([^`]*)`", " ".join(table))).split()
    files = {path.stem for path in (ROOT / "serving").glob("*.py")} - {"__init__"}
    assert sorted(set(named) - {"commands/", "python", "-m", "serving"}) == sorted(files)


@pytest.mark.parametrize("module", [path.name for path in (ROOT / "newsrec/encoders/text").glob("[!_]*.py")])
def test_the_design_page_names_each_file_of_the_titles(module: str) -> None:
    assert f"`{module}`" in prose(ROOT / "docs/design.md")
