"""What a section is made of. The template alone knows how a block looks; all texts in it are plain and get escaped."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from markupsafe import Markup


class Cell(NamedTuple):
    """Of a table."""

    text: str
    tone: str = ""
    """``good``, ``bad``, ``open`` or nothing: said in words too, never by colour alone."""


Row = Sequence[str | Cell]


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str
    tone: str = ""
    """``quiet`` for what explains, ``missing`` for what is not there."""
    kind: ClassVar[str] = "text"


@dataclass(frozen=True)
class Points:
    """A list of sentences."""

    items: Sequence[Cell]
    kind: ClassVar[str] = "points"


@dataclass(frozen=True)
class Facts:
    """Names and values."""

    items: Sequence[tuple[str, str]]
    kind: ClassVar[str] = "facts"


@dataclass(frozen=True)
class Table:
    """Rows whose first cell names them; it scrolls inside its box where it is too wide."""

    caption: str
    head: Sequence[str]
    rows: Sequence[Row]
    kind: ClassVar[str] = "table"


class Legend(NamedTuple):
    """A policy in a figure of lines."""

    name: str
    colour: int
    mark: str


class Figure(NamedTuple):
    """A plot."""

    svg: Markup
    title: str
    alt: str
    """What a reader who cannot see it gets: the same figures in words."""
    legend: Sequence[Legend] = ()


@dataclass(frozen=True)
class Figures:
    """Plots side by side where there is room."""

    items: Sequence[Figure]
    caption: str
    kind: ClassVar[str] = "figures"


class Article(NamedTuple):
    """In a slate."""

    title: str
    about: str
    """Category, age and what the log says, in one line."""
    reads: Sequence[tuple[str, str]]
    """Share and title of the reads that drove it."""
    move: str
    only_here: bool
    """Whether the other slate lacks it."""


class Slate(NamedTuple):
    """What one policy would have shown."""

    policy: str
    note: str
    articles: Sequence[Article]


@dataclass(frozen=True)
class Slates:
    """The slates of several policies for one reader, side by side where there is room."""

    title: str
    about: str
    items: Sequence[Slate]
    kind: ClassVar[str] = "slates"


@dataclass(frozen=True)
class Banner:
    """A verdict in one word and one sentence."""

    word: str
    sentence: str
    tone: str
    kind: ClassVar[str] = "banner"


@dataclass(frozen=True)
class Folded:
    """What only some want to see: closed until it is asked for."""

    title: str
    blocks: Sequence["Block"]
    kind: ClassVar[str] = "folded"


Block = Text | Points | Facts | Table | Figures | Slates | Banner | Folded


class Section(NamedTuple):
    """A heading and what stands below it."""

    name: str
    """Of the anchor."""
    title: str
    blocks: Sequence[Block]

    @property
    def empty(self) -> bool:
        """Whether it says only why it has nothing to tell."""
        return len(self.blocks) == 1 and isinstance(self.blocks[0], Text) and self.blocks[0].tone == "missing"


def missing(name: str, title: str, why: str) -> Section:
    """A section that this run or study has nothing for, and why."""
    return Section(name, title, [Text(why, "missing")])
