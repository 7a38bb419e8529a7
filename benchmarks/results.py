"""What every benchmark writes and prints: figures, and bars with what was reached.

A file of results holds ``command, protocol, seeds, machine, versions, figures`` and ``bars``; tables in prose are made
of these files. A bar that is not met stands there as such.
"""

import json
import math
import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.console import Group
from rich.table import Table

from newsrec.files import write_whole

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "benchmarks" / "results"
PACKAGES = ("numpy", "torch", "pyarrow", "scipy")


class Bar(NamedTuple):
    """One promise and what came of it."""

    name: str
    value: float | None
    """None where it could not be measured; then ``bar`` says why."""
    interval: tuple[float | None, float | None] | None
    """An end is None or infinite where nothing bounds it, as that of a ratio whose denominator may be 0."""
    bar: str
    met: bool


class Part(NamedTuple):
    """What one part of a benchmark found."""

    figures: dict[str, Any]
    bars: list[Bar]


class Results(NamedTuple):
    """A whole run."""

    command: str
    protocol: dict[str, str]
    """Part -> what was done, with sizes."""
    seeds: dict[str, list[int]]
    machine: dict[str, Any]
    versions: dict[str, str]
    figures: dict[str, Any]
    bars: list[Bar]


class Mean(NamedTuple):
    """A mean of independent values and the ends of its 95 % interval."""

    value: float
    low: float
    high: float

    @property
    def interval(self) -> tuple[float, float]:
        return self.low, self.high


def mean(values: np.ndarray) -> Mean:
    """Of ``values`` [n], such as the differences of n readers between two policies with the same luck."""
    away = 1.96 * values.std(ddof=1) / len(values) ** 0.5
    return Mean(float(values.mean()), float(values.mean() - away), float(values.mean() + away))


def ratio(values: np.ndarray, base: np.ndarray) -> Mean:
    """``sum(values) / sum(base)`` of n readers, both [n]; the interval is that of the ratio's linear part."""
    found = values.sum() / base.sum()
    around = mean((values - found * base) / base.mean())
    return Mean(float(found), float(found + around.low), float(found + around.high))


def machine() -> dict[str, Any]:
    """The machine that this runs on, as it is now."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(memory / 2**30, 1),
        "system": platform.platform(),
        "load_before": round(os.getloadavg()[0], 2),
    }


def versions() -> dict[str, str]:
    """Python, the packages that figures depend on, and the commit; ``+`` where files differ from it."""
    found = {"python": platform.python_version()} | {name: metadata.version(name) for name in PACKAGES}
    return found | {"commit": _git("rev-parse", "--short", "HEAD") + "+" * bool(_git("status", "--porcelain", "-uno"))}


def write(results: Results, path: Path) -> None:
    """Write ``results`` as JSON to the file ``path``, whole or not at all; what is no number becomes null."""
    write_whole(path, json.dumps(plain(results), indent=1, allow_nan=False) + "\n")


def tables(results: Results) -> Group:
    """The bars, then what was done on which machine."""
    bars = Table("bar", "expected", "found", "interval", "met", title=results.command, title_justify="left")
    for bar in results.bars:
        bars.add_row(bar.name, bar.bar, _found(bar), _interval(bar), "yes" if bar.met else "[red]no[/red]")
    about = Table(show_header=False, box=None)
    for part, protocol in results.protocol.items():
        seeds = ", ".join(map(str, results.seeds.get(part, [])))
        about.add_row(part, f"{protocol}{f' Seeds {seeds}.' if seeds else ''}")
    about.add_row("machine", ", ".join(f"{name} {value}" for name, value in results.machine.items()))
    about.add_row("versions", ", ".join(f"{name} {value}" for name, value in results.versions.items()))
    return Group(bars, about)


def to_markdown(path: Path) -> str:
    """The bars in the file ``path`` as a table for prose, with what it took; docs are held to it."""
    read = json.loads(path.read_text(encoding="utf-8"))
    rows = [("bar", "expected", "found", "95 % interval", "met"), ("---",) * 5]
    for bar in map(lambda fields: Bar(**fields), read["bars"]):
        rows.append((bar.name, bar.bar, _found(bar), _interval(bar), "yes" if bar.met else "**no**"))
    run = f"`{read['command']}` at {read['versions']['commit']}, {read['machine']['processor']}, "
    run += f"{read['machine']['cores']} cores, load {read['machine']['load_before']}."
    return "\n".join("| " + " | ".join(row) + " |" for row in rows) + f"\n\n{run}\n"


def _found(bar: Bar) -> str:
    return "" if bar.value is None else f"{bar.value:,.0f}" if abs(bar.value) >= 100 else f"{bar.value:.3g}"


def _interval(bar: Bar) -> str:
    if bar.interval is None:
        return ""
    low, high = bar.interval
    return f"[{-math.inf if low is None else low:.3g}, {math.inf if high is None else high:.3g}]"


def plain(value: Any) -> Any:
    """``value`` as JSON knows it."""
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return plain(value._asdict())
    if isinstance(value, dict):
        return {str(name): plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    return value


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []:
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or "unknown"


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() or ("" if arguments[0] == "status" else "unknown")
