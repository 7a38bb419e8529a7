"""Plots as SVG inside the page: drawn by matplotlib, coloured by the page's own style sheet, the same at every run.

matplotlib knows no style sheets, therefore each colour here is a stand-in that becomes a variable of CSS: dark mode
turns plots, too. A plot is as wide as a phone and is never shrunk below that; text in it is text. Identifiers carry the
plot's number, since a page may have each only once.
"""

import io
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import matplotlib
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from newsrec.report.blocks import Legend

WIDTH = 4.5
"""Inches of 72 points: 324 CSS pixels, what a phone of 360 has for content."""
COLOURS = 7
"""Of policies; the page defines as many, for light and dark."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
MARKS = "●■▲◆▼✚✖"
"""The same for a legend: policies are told apart without colours, too."""
INK, RULE, LINE, PAPER = "#010101", "#020202", "#030303", "#060606"
LONGEST = 42
"""Characters of a policy's name in a plot."""
_STYLE: Any = {"svg.fonttype": "none", "svg.hashsalt": "newsrec", "font.family": "sans-serif", "font.size": 11.5}
_NOTHING = {"Date": None, "Creator": None, "Format": None, "Type": None}


class Value(NamedTuple):
    """A figure with its interval; None where there is none."""

    mean: float | None
    low: float | None
    high: float | None


class Curve(NamedTuple):
    """A policy along x."""

    x: Sequence[float]
    values: Sequence[Value]


def colour(number: int) -> str:
    """The stand-in for the policy ``number``'s colour."""
    return f"#0400{number % COLOURS:02d}"


def legend(names: Sequence[str], order: Sequence[str]) -> list[Legend]:
    """Of ``names``; a policy has its colour and marker from its place in ``order``, on every plot of a page."""
    return [Legend(name, order.index(name) % COLOURS, MARKS[_marker(order.index(name))]) for name in names]


def dots(
    values: Mapping[str, Value],
    order: Sequence[str],
    number: int,
    line: float | None = None,
    percent: bool = False,
) -> Markup:
    """A row for each policy, its name above its interval; ``line`` is where a difference begins."""
    with matplotlib.rc_context(_STYLE):
        canvas = Canvas(figsize=(WIDTH, 0.5 + 0.52 * len(values)), layout="constrained")
        axes = canvas.subplots()
        if line is not None:
            axes.axvline(line, color=LINE, linewidth=1)
        for row, (name, value) in enumerate(values.items()):
            short = name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"
            at = axes.get_yaxis_transform()
            behind = {"facecolor": PAPER, "edgecolor": "none", "pad": 1.0}  # a line does not run through a name
            axes.text(0.0, row - 0.05, short, transform=at, va="bottom", color=INK, parse_math=False, bbox=behind)
            if value.mean is None:
                axes.text(0.0, row + 0.2, "not defined", transform=at, va="center", color=INK, style="italic")
                continue
            i, arms = order.index(name), [[arm] for arm in _arms(value)]
            marker = MARKERS[_marker(i)]
            axes.errorbar(value.mean, row + 0.2, xerr=arms, fmt=marker, color=colour(i), capsize=3, markersize=6)
        axes.set_ylim(len(values) - 0.45, -0.55)
        axes.set_yticks([])
        _plain(axes, "x", percent)
        return _markup(canvas, number)


def lines(
    curves: Mapping[str, Curve],
    order: Sequence[str],
    number: int,
    x_label: str,
    line: float | None = None,
    percent: bool = False,
    steps: bool = False,
) -> Markup:
    """A curve for each policy with its band; ``steps`` for what only changes at whole x."""
    with matplotlib.rc_context(_STYLE):
        canvas = Canvas(figsize=(WIDTH, 3.2), layout="constrained")
        axes = canvas.subplots()
        if line is not None:
            axes.axhline(line, color=LINE, linewidth=1)
        for name, curve in curves.items():
            i = order.index(name)
            known = [(x, value) for x, value in zip(curve.x, curve.values, strict=True) if value.mean is not None]
            x, means = [x for x, _ in known], [value.mean for _, value in known]
            low = [value.mean if value.low is None else value.low for _, value in known]
            high = [value.mean if value.high is None else value.high for _, value in known]
            step = "post" if steps else None
            axes.fill_between(x, low, high, color=colour(i), alpha=0.13, linewidth=0, step=step)  # type: ignore[arg-type]
            axes.plot(
                x,
                means,  # type: ignore[arg-type]
                color=colour(i),
                linewidth=1.6,
                marker=MARKERS[_marker(i)],
                markersize=5,
                markevery=max(1, len(x) // 6),
                drawstyle="steps-post" if steps else "default",
            )
        axes.set_xlabel(x_label, color=INK)
        _plain(axes, "y", percent)
        return _markup(canvas, number)


def _marker(number: int) -> int:
    return (number + number // COLOURS) % len(MARKERS)


def _arms(value: Value) -> tuple[float, float]:
    if value.mean is None or value.low is None or value.high is None:
        return 0.0, 0.0
    return max(0.0, value.mean - value.low), max(0.0, value.high - value.mean)


def _plain(axes: Axes, grid: Literal["x", "y"], percent: bool) -> None:
    along = axes.xaxis if grid == "x" else axes.yaxis
    axes.locator_params(grid, nbins=5)
    if percent:
        along.set_major_formatter(lambda value, _: f"{value:.0%}")
    axes.grid(axis=grid, color=RULE)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(LINE)
    axes.tick_params(colors=INK, color=LINE)
    axes.patch.set_visible(False)


def _markup(canvas: Canvas, number: int) -> Markup:
    """The element <svg> alone, hidden from screen readers: the block around it says the same in words."""
    canvas.patch.set_visible(False)
    buffer = io.StringIO()
    canvas.savefig(buffer, format="svg", metadata=_NOTHING)
    text = buffer.getvalue()
    text = text[text.index("<svg") :].strip()
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'\bid="', f'id="f{number}-', text)
    text = re.sub(r'(url\(#|href="#)', rf"\g<1>f{number}-", text)
    for stand_in, variable in ((INK, "ink"), (RULE, "rule"), (LINE, "line"), (PAPER, "paper")):
        text = text.replace(stand_in, f"var(--{variable})")
    text = re.sub(r"#0400(\d\d)", lambda found: f"var(--p{int(found[1])})", text)
    return Markup(text.replace("<svg ", '<svg aria-hidden="true" focusable="false" ', 1))
