"""``python -m benchmarks.off_policy``: what the estimators must show before a policy is shipped on their word.

All parts but ``policies`` and ``gate`` take about three minutes of CPU time; ``policies`` trains and plays for some
more, ``gate`` takes two and a half, and both are run by themselves (``--only``). ``--quick`` takes half a minute, on so
little that its figures mean nothing.
"""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from benchmarks import running
from benchmarks.off_policy import assumptions, efficiency, gate, open_bandit, policies, speed
from benchmarks.results import machine

PARTS = {
    "efficiency": efficiency,
    "assumptions": assumptions,
    "gate": gate,
    "open_bandit": open_bandit,
    "policies": policies,
    "speed": speed,
}


def main(
    quick: Annotated[bool, typer.Option("--quick", help="Half a minute, to see that it runs.")] = False,
    only: Annotated[list[str] | None, typer.Option(help=f"Part to run: {', '.join(PARTS)}.")] = None,
    out: Annotated[Path | None, typer.Option(help="File for the results, also of a quick or partial run.")] = None,
) -> None:
    """Measure off-policy evaluation against its bars."""
    parts = running.chosen(PARTS, only)
    sizes = {name: part.QUICK if quick else part.FULL for name, part in parts.items()}
    begun, found = machine(), []
    for name, part in parts.items():
        Console(stderr=True).print(f"{name} ...")
        found.append(part.measure(sizes[name]))
    results = running.gathered("off_policy", parts, sizes, begun, found)
    running.publish("off_policy", results, not quick and not only, out)


if __name__ == "__main__":
    typer.run(main)
