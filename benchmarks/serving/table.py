"""The table of designs for prose, made from the file of results."""

import json
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
    """A table for each online store in the results at ``path``, medians with the least and the most of the rounds."""
    read = json.loads(path.read_text(encoding="utf-8"))
    tables = []
    for backend, figures in read["figures"]["designs"].items():
        found = {name: figures[name] for name in NAMES if name in figures}
        rows = [HEAD, ("---", *("---:",) * (len(HEAD) - 1))]
        rows += [_row(name, found) for name in found]
        lines = "\n".join("| " + " | ".join(row) + " |" for row in rows)
        tables.append(f"Online store {ONLINE[backend]}:\n\n{lines}\n")
    run = f"`{read['command']}` at {read['versions']['commit']}, {read['machine']['processor']}, "
    run += f"{read['machine']['cores']} cores, load {read['machine']['load_before']}."
    return "\n".join([*tables, run]) + "\n"


def _row(name: str, figures: dict[str, Any]) -> tuple[str, ...]:
    one, eight = figures[name]["c=1"], figures[name]["c=8"]
    rate = eight["requests_a_second"]["value"]
    of_limit, of_published = (
        f"{rate / figures[other]['c=8']['requests_a_second']['value']:{form}}" if other in figures else ""
        for other, form in (("limit", ".1%"), ("published", ",.1f"))
    )
    spreads = [_spread(one["p50_ms"]), _spread(eight["requests_a_second"]), _spread(eight["p99_ms"])]
    return NAMES[name], *spreads, f"{sum(eight['cpu_microseconds'].values()):,.0f}", of_limit, of_published


def _spread(of: dict[str, float]) -> str:
    form = ",.0f" if of["value"] >= 100 else ".3g"
    return f"{of['value']:{form}} [{of['low']:{form}}, {of['high']:{form}}]"
