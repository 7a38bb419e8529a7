"""The whole loop on one machine: a log, the training pipeline, the predictor and the collector, readers who click.

In the simulated newsroom supervised and long-term policies are trained side by side, and other simulated readers are
followed for four weeks under each: who comes back.

    make demo                                    a simulated newsroom
    make demo DATA=mind:PATH                     a log in MIND's layout (also ebnerd:PATH)
    make demo KEEP=1                             leaves predictor and collector up

Everything is written under ``runs/demo-KIND``; a second run takes what has not changed from the cache.
"""

import argparse
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table

from newsrec import artifact, releases
from newsrec.artifact import InvalidArtifact
from newsrec.cli import guarded
from newsrec.config import from_mapping, load, to_mapping
from newsrec.evaluation.gate import GateConfig
from newsrec.ingestion import SIMULATED
from newsrec.report import page
from newsrec.simulator.config import SimulationConfig
from newsrec.slate import SlateConfig
from pipelines.local import RunFailed, RunResult, run
from pipelines.submission import POLICIES, Submission
from scripts.demo_policies import GATE, IN_SIMULATION, left_out
from scripts.simulated_readers import unknown, who_comes_back

ROOT = Path(__file__).resolve().parent.parent
HOST = "127.0.0.1"
MINUTE = 60_000_000
"""Microseconds."""
console = Console(highlight=False)


class DemoFailed(RuntimeError):
    """A server that did not come up."""


PENDING_SECONDS = 10.0
"""How long feedback may wait for its slate, or for the feature store."""


@dataclass(frozen=True)
class Servers:
    """Where predictor and collector answer."""

    predictor: str
    collector: str

    def slate(self, user_id: str, moment: int, k: int = 5) -> dict:
        request = {"user_id": user_id, "k": k, "time": moment, "context": {"device": "phone"}, "seed": 7}
        answer = httpx.post(f"{self.predictor}/v1/models/newsrec:predict", json={"instances": [request]}, timeout=10)
        answer.raise_for_status()
        return answer.json()["predictions"][0]

    def read(self, slate: dict, position: int, moment: int) -> dict:
        """Report a click on ``position`` and a minute and a half of reading, and again until the next slate knows them.

        No reader is so fast: a slate is in the event log 100 ms after it was answered, and what comes before waits.
        """
        event = {
            "request_id": slate["request_id"],
            "user_id": slate["user_id"],
            "article_id": slate["slate"][position]["article_id"],
            "position": position,
            "time": moment,
        }
        rows = [
            {**event, "event_id": uuid.uuid4().hex, "kind": "click"},
            {**event, "event_id": uuid.uuid4().hex, "kind": "dwell", "dwell_seconds": 90.0},
        ]
        end = time.monotonic() + PENDING_SECONDS
        while True:
            answer = httpx.post(f"{self.collector}/v1/feedback", json={"events": rows}, timeout=10)
            answer.raise_for_status()
            if answer.json().get("history") != "pending" or time.monotonic() > end:
                return answer.json()
            time.sleep(0.05)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=SIMULATED, help="simulated, mind:PATH or ebnerd:PATH")
    parser.add_argument("--timezone", default="UTC", help="of naive times in the log")
    parser.add_argument("--keep", action="store_true", help="leave predictor and collector up until Ctrl-C")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    began = time.monotonic()
    root = ROOT / "runs" / f"demo-{options.data.partition(':')[0]}"
    asked = GATE if options.data == SIMULATED else None
    result = train(options.data, options.timezone, root, asked)
    release = releases.current(root / "releases")
    decision = result.verdict["decision"]
    if decision not in ("ship", "mix") and release is not None:
        console.print(f"Nothing was published; {release.version} is still served.\n")
    if release is None:
        console.print(f"[yellow]The gate says {decision} and nothing was served before: there is nothing to serve.[/]")
        return
    with serving(root, release.directory, load(GateConfig, asked).slates) as servers:
        number = 4 if options.data == SIMULATED else 3
        console.print(f"[bold]{number}  Readers ask, read and ask again[/] (predictor: KServe, features: Feast)\n")
        tour(servers, release, root / "store")
        took = time.monotonic() - began
        places = {"report": page_of(root), "artefact": release.directory}
        for name, path in {**places, "event log": root / "events.db", "run log": result.log}.items():
            console.print(f"{name:<10} {path.relative_to(ROOT)}", soft_wrap=True)
        console.print(f"took       {took:.0f} s")
        if options.keep:
            keep(servers, release.data_until + MINUTE)


def train(data: str, timezone: str, root: Path, asked: Path | None) -> RunResult:
    """The training pipeline on ``data``, task by task on the terminal, then what its gate says, TOML ``asked``."""
    simulated = data == SIMULATED
    policies = IN_SIMULATION if simulated else POLICIES
    arguments = Submission(data, policies, root, timezone, gate=asked).training()
    console.print(f"[bold]1  Pipeline[/] training on {data} (run {arguments['run']})")
    if not simulated:
        console.print(f"   naive times in the log are read as {timezone}; TIMEZONE=... changes that")
        for line in left_out(data, timezone):
            console.print(f"   {line}", markup=False, soft_wrap=True)
    result = run("training", arguments, root, console)
    page.write(page_of(root), result.directory)
    console.print("\n[bold]2  Verdict and comparison[/]\n")
    console.print((result.verdict_directory / "verdict.md").read_text(), markup=False, soft_wrap=True)
    if simulated:
        names = [path.stem for path in IN_SIMULATION]
        world = unknown(from_mapping(SimulationConfig, json.loads(arguments["simulation"])))
        who_comes_back(result.trained, names, world, root / "played" / arguments["code"], console)
    return result


def page_of(root: Path) -> Path:
    """The page of the latest run, to open in a browser."""
    return root / "report.html"


def tour(servers: Servers, release: releases.Release, store: Path) -> None:
    """The two readers of the log who came last, and a new one, ask, read and ask again."""
    titles = {row["article_id"]: row["title"] for row in artifact.load(release.control).catalogue.articles.to_pylist()}
    (offline,) = store.glob("offline/reader*.parquet")
    seen = pq.read_table(offline, columns=["user_id", "event_timestamp"]).sort_by([("event_timestamp", "descending")])
    known = list(dict.fromkeys(seen["user_id"].to_pylist()))[:2]
    moment = release.data_until + MINUTE
    for reader in ["a-new-reader", *known]:
        before = servers.slate(reader, moment)
        servers.read(before, 0, moment + MINUTE)
        after = servers.slate(reader, moment + 3 * MINUTE)
        show(reader, before, after, titles)


def show(reader: str, before: dict, after: dict, titles: dict) -> None:
    table = Table(title=f"{reader}, {before['policy']} {before['policy_version']}", title_justify="left")
    for column in ("", "first slate", "propensity", "after reading the first article", "propensity"):
        table.add_column(column, overflow="fold")
    old = {item["article_id"] for item in before["slate"]}
    for position, (a, b) in enumerate(zip(before["slate"], after["slate"], strict=False), 1):
        names = [titles.get(x["article_id"]) or x["article_id"] for x in (a, b)]
        new = "" if b["article_id"] in old else "[green]new: "
        table.add_row(str(position), names[0], f"{a['propensity']:.4f}", f"{new}{names[1]}", f"{b['propensity']:.4f}")
    console.print(table)
    read = before["slate"][0]["article_id"]
    assert read not in {item["article_id"] for item in after["slate"]}, f"{read} was read and came back"


@contextlib.contextmanager
def serving(root: Path, release: Path, slates: SlateConfig) -> Iterator[Servers]:
    """Predictor and collector as processes of their own, ended when the block ends.

    The predictor makes ``slates`` as the gate took them for.
    """
    ports = [free_port(8080), free_port(8081), free_port(8090)]
    store = ["--store", str(root / "store"), "--event-log", f"sqlite:///{root / 'events.db'}", "--host", HOST]
    predictor = ["--artifact", str(release), "--http-port", str(ports[0]), "--grpc-port", str(ports[1])]
    predictor += [text for name, value in to_mapping(slates).items() for text in (f"--{name}", str(value))]
    commands = {"predictor": [*predictor, *store], "collector": ["collector", *store, "--port", str(ports[2])]}
    processes = {}
    try:
        for name, arguments in commands.items():
            with (root / f"{name}.log").open("w") as log:
                processes[name] = subprocess.Popen(
                    [sys.executable, "-m", "serving", *arguments], cwd=ROOT, stdout=log, stderr=log
                )
        servers = Servers(f"http://{HOST}:{ports[0]}", f"http://{HOST}:{ports[2]}")
        with console.status("predictor and collector are starting"):
            wait_for(f"{servers.predictor}/v2/health/ready", processes["predictor"], root / "predictor.log")
            wait_for(f"{servers.collector}/healthz", processes["collector"], root / "collector.log")
        yield servers
    finally:
        for process in processes.values():
            process.terminate()
        for process in processes.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(15)
            process.kill()


def free_port(wanted: int) -> int:
    """``wanted`` if nothing listens there, else a free port, which is said."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, wanted))
        except OSError:
            probe.bind((HOST, 0))
            console.print(f"port {wanted} is busy, taking {probe.getsockname()[1]}")
        return probe.getsockname()[1]


def wait_for(url: str, process: subprocess.Popen, log: Path, seconds: float = 90.0) -> None:
    """Return when ``url`` answers 200. Raises DemoFailed where the process ends or the time is over."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise DemoFailed(f"the server ended with code {process.returncode}; the end of {log}:\n{tail(log)}")
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(url, timeout=2).status_code == httpx.codes.OK:
                return
        time.sleep(0.2)
    raise DemoFailed(f"{url} did not answer within {seconds:.0f} s; the end of {log}:\n{tail(log)}")


def tail(path: Path, lines: int = 10) -> str:
    return "\n".join(path.read_text().splitlines()[-lines:])


def keep(servers: Servers, moment: int) -> None:
    """Print how to talk to the servers, with ids that exist, and wait for Ctrl-C."""
    request = json.dumps({"instances": [{"user_id": "me", "k": 5, "time": moment}]})
    made = servers.slate("me", moment)
    event = {"event_id": uuid.uuid4().hex, "request_id": made["request_id"], "user_id": "me", "kind": "click"}
    feedback = json.dumps({"events": [{**event, "article_id": made["slate"][0]["article_id"], "position": 0}]})
    header = "-H 'content-type: application/json'"
    console.print("\nStill up; Ctrl-C ends both. Ask, tell, and ask again (at the time of the log's end):\n")
    console.print(f"curl {servers.predictor}/v1/models/newsrec:predict -d '{request}'", markup=False, soft_wrap=True)
    console.print(f"curl {servers.collector}/v1/feedback {header} -d '{feedback}'", markup=False, soft_wrap=True)
    with contextlib.suppress(KeyboardInterrupt):
        signal.pause()


if __name__ == "__main__":
    os.chdir(ROOT)
    guarded("demo", main, RunFailed, DemoFailed, InvalidArtifact)
