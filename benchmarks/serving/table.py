"""The table of designs for prose, made from the file of results."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

NAMES = {
    "newsrec": "**newsrec**",
    "published": "*published*: KServe's sample, transformer, Feast's server, predictor",
    "tuned": "*tuned*: asynchronous, two parallel calls, gRPC to the predictor",
    "smart": "*smart*: the reader from Feast's server, articles in memory",
    "no-op": "KServe's V1 server with a model that does nothing",
    "limit": "limit: bare ASGI, one raw read, a matrix-vector product",
}
HEAD = ("design", "p50 ms (c=1)", "requests/s (c=8)", "p99 ms (c=8)", "CPU us a request", "of the limit", "x published")
ONLINE = {"redis": "Redis", "sqlite": "SQLite"}


def designs_to_markdown(path: Path) -> str:
    """``tables`` of the results at ``path``, and what it took; prose is held to it."""
    read = json.loads(path.read_text(encoding="utf-8"))
    commits = " and ".join(read["machine"].get("commits", read["versions"]["commit"]).split())
    run = f"`{read['command']}` at {commits}, {read['machine']['processor']}, "
    run += f"{read['machine']['cores']} cores, load {read['machine']['load_before']}."
    return f"{tables(read['figures']['designs'])}\n{run}\n"


def tables(designs: Mapping[str, Mapping[str, Any]]) -> str:
    """A table for each online store, medians with the least and the most of the rounds; from figures or their JSON."""
    made = []
    for backend, figures in designs.items():
        found = {name: figures[name] for name in NAMES if name in figures}
        rows = [HEAD, ("---", *("---:",) * (len(HEAD) - 1))]
        rows += [_row(name, found) for name in found]
        lines = "\n".join("| " + " | ".join(row) + " |" for row in rows)
        made.append(f"Online store {ONLINE[backend]}:\n\n{lines}\n")
    return "\n".join(made)


def _row(name: str, figures: Mapping[str, Any]) -> tuple[str, ...]:
    one, eight = figures[name]["c=1"], figures[name]["c=8"]
    beside = {}
    for other, form in (("limit", ".1%"), ("published", ",.1f")):
        if other in figures:
            rates = [_ends(figures[which]["c=8"]["requests_a_second"])["value"] for which in (name, other)]
            beside[other] = f"{rates[0] / rates[1]:{form}}"
    spreads = [_spread(one["p50_ms"]), _spread(eight["requests_a_second"]), _spread(eight["p99_ms"])]
    return NAMES[name], *spreads, f"{sum(eight['cpu_microseconds'].values()):,.0f}", *beside.values()


def _spread(spread: Any) -> str:
    of = _ends(spread)
    form = ",.0f" if of["value"] >= 100 else ".3g"
    return f"{of['value']:{form}} [{of['low']:{form}}, {of['high']:{form}}]"


def _ends(spread: Any) -> dict[str, float]:
    return spread if isinstance(spread, dict) else spread._asdict()
