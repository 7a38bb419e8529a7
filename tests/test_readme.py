"""README.ko.md says what README.md says: the same sections, commands, outputs, tables, figures, code and links."""

import re
from collections import Counter
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent
ENGLISH, KOREAN = ROOT / "README.md", ROOT / "README.ko.md"
EACH_OTHER = {f"\n[한국어]({KOREAN.name})\n", f"\n[English]({ENGLISH.name})\n"}
FENCED = re.compile(r"^```\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`([^`]*)`")
LINK = re.compile(r"\]\(([^)\s]+)\)")
FIGURE = re.compile(r"[-+]?\d[\d,]*(?:\.\d+)?")
NAME = re.compile(r"\w+/|\w+\.py\b|Dockerfile")


class Section(NamedTuple):
    """What of a section does not depend on the language. ``compared`` is one of them with another."""

    level: str
    printed: list[str]
    """Fenced blocks without their comments, and quoted output."""
    tables: list[list[Counter[str]]]
    """For each row, for each cell: its code and figures."""
    code: Counter[str]
    links: Counter[str]
    figures: Counter[str]


def sections(text: str) -> list[Section]:
    blocks: list[str] = []

    def set_aside(block: re.Match[str]) -> str:
        blocks.append(block[1])
        return f"```{len(blocks) - 1}"

    for line in EACH_OTHER:
        text = text.replace(line, "")
    parts = re.split(r"^(#+) .*$", FENCED.sub(set_aside, text), flags=re.MULTILINE)[1:]
    return [section(level, body, blocks) for level, body in zip(parts[::2], parts[1::2], strict=True)]


def section(level: str, body: str, blocks: list[str]) -> Section:
    printed = [fixed(blocks[int(at)]) for at in re.findall(r"^```(\d+)$", body, re.MULTILINE)]
    quoted = re.findall(r"^>.*$", body, re.MULTILINE)
    said = re.sub(r"^(?:```|>).*$", "", body, flags=re.MULTILINE)
    tables = [[invariant(cell) for cell in line.split("|")] for line in said.splitlines() if line.startswith("|")]
    prose = LINK.sub("]", CODE.sub("", said))
    return Section(
        level, printed + quoted, tables, Counter(CODE.findall(said)), Counter(LINK.findall(said)), figures(prose)
    )


def fixed(block: str) -> str:
    """What is typed or printed; of the map of folders, which says of each what it is, the names."""
    if block.startswith("newsrec/"):
        return " ".join(sorted(NAME.findall(block)))
    return re.sub(r" +# .*$", "", block, flags=re.MULTILINE)


def invariant(cell: str) -> Counter[str]:
    return Counter(CODE.findall(cell)) + figures(CODE.sub("", LINK.sub("]", cell)))


def figures(text: str) -> Counter[str]:
    return Counter(FIGURE.findall(text))


def differences(english: str, korean: str) -> list[str]:
    """One line for each part of a section in which the two part."""
    pairs = zip_longest(sections(english), sections(korean))
    return [
        f"section {number}, {part}: {ours} in English, {theirs} in Korean"
        for number, (one, other) in enumerate(pairs, 1)
        for part, ours, theirs in zip_longest(Section._fields, one or (), other or ())
        if ours != theirs
    ]


def test_the_two_readmes_say_the_same() -> None:
    assert not differences(ENGLISH.read_text(encoding="utf-8"), KOREAN.read_text(encoding="utf-8"))


@pytest.mark.parametrize(("page", "other"), [(ENGLISH, KOREAN), (KOREAN, ENGLISH)], ids=["English", "Korean"])
def test_each_readme_links_to_the_other_at_its_top(page: Path, other: Path) -> None:
    title, _, link = page.read_text(encoding="utf-8").splitlines()[:3]
    assert title == "# newsrec"
    assert LINK.findall(link) == [other.name]


@pytest.mark.parametrize(
    ("said", "instead"),
    [
        ("make demo     #", "make demos     #"),
        ("│ dqn            │        7.99", "│ dqn            │        7.98"),
        ("| 313", "| 312"),
        ("**Ship** dwell", "**Mix** dwell"),
        ("+0.037 [", "-0.037 ["),
        ("](docs/gate.md", "](docs/off_policy.md"),
        ("`--last 0.01`", "`--last 0.1`"),
        ("  slate.py ", "  slates.py "),
        ("### ", "## "),
        ("\n| `make demo DATA=mind:PATH` | MIND", "\nMIND"),
    ],
)
def test_what_the_korean_one_says_otherwise_is_found(said: str, instead: str) -> None:
    korean = KOREAN.read_text(encoding="utf-8")
    assert said in korean
    assert differences(ENGLISH.read_text(encoding="utf-8"), korean.replace(said, instead, 1))


def test_a_section_that_is_missing_is_found() -> None:
    korean = KOREAN.read_text(encoding="utf-8")
    assert differences(ENGLISH.read_text(encoding="utf-8"), korean[: korean.rindex("\n## ")])
