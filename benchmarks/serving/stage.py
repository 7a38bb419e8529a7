"""All designs side by side on one site: started, filled with the same features, warm, pinned to the servers' core."""

import http.client
import json
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from redis import Redis

from benchmarks.serving import site as sites
from benchmarks.serving.load import Plan
from benchmarks.serving.peers import repository, smart
from benchmarks.serving.peers.limit import KEY, WIDTH
from benchmarks.serving.peers.scoring import COUNTS, Articles
from benchmarks.serving.peers.stock import NAME
from benchmarks.serving.processes import HOST, Command, Server, ServerFailed, cores, free_port, redis, running
from benchmarks.serving.site import Site
from benchmarks.serving.void import Void
from newsrec.features import unpack_embedding

Backend = Literal["redis", "sqlite"]
PEERS_DATABASE, LIMIT_DATABASE = 1, 2
"""Of the one Redis, whose database 0 is ours."""
PATIENCE_SECONDS, LOG_SECONDS = 180.0, 30.0
SLATE = 10


class Design(NamedTuple):
    """One way to answer: who is asked, and whose CPU time that takes."""

    name: str
    server: str
    path: str
    servers: Sequence[str]
    scores: Callable[[dict[str, Any], Sequence[str]], dict[str, float]] | None
    """Article -> score from an answer, with the candidates in their order; None where no policy answers."""


def _of_slate(answer: dict[str, Any], _: Sequence[str]) -> dict[str, float]:
    return {shown["article_id"]: shown["score"] for shown in answer["predictions"][0]["slate"]}


def _in_order(answer: dict[str, Any], candidates: Sequence[str]) -> dict[str, float]:
    return dict(zip(candidates, answer["predictions"], strict=True))


_FEAST = ("feast", "redis")
_V1 = "/v1/models/{}:predict"
OURS = Design("newsrec", "newsrec", _V1.format("newsrec"), ("newsrec", "redis"), _of_slate)
DESIGNS = {
    design.name: design
    for design in (
        OURS,
        Design(
            "published",
            "published",
            _V1.format(NAME),
            ("published", "behind_published", "feast", "redis"),
            _in_order,
        ),
        Design("tuned", "tuned", _V1.format(NAME), ("tuned", "behind_tuned", "feast", "redis"), _in_order),
        Design("smart", "smart", _V1.format(NAME), ("smart", *_FEAST), _of_slate),
        Design("no-op", "no-op", _V1.format(NAME), ("no-op",), None),
        Design("limit", "limit", "/", ("limit", "redis"), None),
    )
}
"""Name -> design, in the order of the table."""


class Stage(NamedTuple):
    """Everything that runs."""

    site: Site
    servers: dict[str, Server]
    designs: dict[str, Design]

    def plan(self, design: str, connections: int, seconds: float, rate: float | None = None) -> Plan:
        """Readers in turn ask ``design`` for a slate."""
        chosen = self.designs[design]
        bodies = [json.dumps(body(reader)) for reader in self.site.readers]
        return Plan(self.servers[chosen.server].port, chosen.path, bodies, connections, seconds, rate)

    def ask(self, design: str, payload: dict[str, Any]) -> dict[str, Any]:
        """The answer of ``design``. Raises Void where it is no 200, or none."""
        chosen = self.designs[design]
        server = self.servers[chosen.server]
        try:
            return post(server.port, chosen.path, payload)
        except (OSError, http.client.HTTPException) as error:
            raise ServerFailed(f"{server.name} does not answer ({error}); it said:\n{server.last_words()}") from None

    def degraded(self) -> float:
        """How many slates our predictor made without the reader's features so far, by its own metrics."""
        return counted(self.servers[OURS.server].port, "newsrec_degraded_slates_total")

    def cpu_seconds(self, design: str) -> dict[str, float]:
        """Server -> CPU seconds so far, of those that ``design`` needs."""
        return {name: self.servers[name].cpu_seconds() for name in self.designs[design].servers if name in self.servers}


def body(reader: str, **more: Any) -> dict[str, Any]:
    """A request of KServe's V1 protocol, the same for every design."""
    return {"instances": [{"user_id": reader, **more}]}


def post(port: int, path: str, payload: dict[str, Any]) -> dict[str, Any]:
    """The JSON answer. Raises Void where it is no 200."""
    connection = http.client.HTTPConnection(HOST, port, timeout=PATIENCE_SECONDS)
    try:
        connection.request("POST", path, json.dumps(payload), {"content-type": "application/json"})
        answer = connection.getresponse()
        read = answer.read()
    finally:
        connection.close()
    if answer.status != 200:
        raise Void(f"port {port}{path} answers {answer.status}: {read[:300].decode(errors='replace')}")
    return json.loads(read)


def counted(port: int, name: str) -> float:
    """The sum of the Prometheus counter ``name`` at ``port``; 0 where it has not counted anything."""
    connection = http.client.HTTPConnection(HOST, port, timeout=PATIENCE_SECONDS)
    try:
        connection.request("GET", "/metrics")
        lines = connection.getresponse().read().decode().splitlines()
    finally:
        connection.close()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith((f"{name} ", f"{name}{{")))


@contextmanager
def staged(
    folder: Path,
    backend: Backend,
    now: int,
    names: Sequence[str] = tuple(DESIGNS),
    options: Sequence[str] = (),
    articles: int = sites.LIVE,
) -> Iterator[Stage]:
    """The designs of ``names`` on a new site in ``folder`` with so many live ``articles``, warm, until they end.

    Our predictor has ``options`` of its command line more.
    """
    folder.mkdir(parents=True)
    port = free_port() if backend == "redis" else None
    with running([redis(folder, port)] if port else [], folder) as stores:
        site = sites.make(folder, now, port, articles)
        (folder / "candidates.json").write_text(json.dumps(site.candidates))
        peers = repository.create(folder / "peers", f"{port}/{PEERS_DATABASE}" if port else None)
        arrays, by_id = _articles(site)
        smart.save(arrays, folder / "articles.npz")
        _vectors(site)
        designs = {name: DESIGNS[name] for name in names}
        with running(_commands(site, designs, options), folder) as servers:
            stage = Stage(site, stores | servers, designs)
            if OURS.name in designs:
                _visit(stage)
            with site.opened() as store:
                rows, vectors = zip(*store.readers_and_vectors(site.readers), strict=True)
            if OURS.name in designs and None in vectors:
                raise Void(f"{vectors.count(None)} of {len(vectors)} readers have no vector beside their row")
            readers = dict(zip(site.readers, rows, strict=True))
            for row in (*readers.values(), *by_id.values()):
                del row["event_timestamp"]
            repository.write(peers, readers, by_id)
            for name in designs:
                for reader in site.readers[:8]:
                    stage.ask(name, body(reader))
            for server in stage.servers.values():
                server.pin(cores()[0])
            yield stage


def _commands(site: Site, designs: dict[str, Design], options: Sequence[str]) -> list[Command]:
    """All servers that ``designs`` need, beside Redis."""
    needed = dict.fromkeys(server for design in designs.values() for server in design.servers if server != "redis")
    if "newsrec" in needed:
        needed["collector"] = None
    ports = {server: free_port() for server in needed}
    feast, grpc = f"http://{HOST}:{ports.get('feast')}", free_port()
    candidates, articles, artifact = (
        str(site.folder / "candidates.json"), str(site.folder / "articles.npz"), str(site.artifact)
    )  # fmt: skip
    ours = [f"--store={site.store}", f"--event-log={site.event_log}"]
    vectors = f"redis:{site.redis_port}/{LIMIT_DATABASE}" if site.redis_port else str(site.folder / "vectors.db")
    module = partial(_module, "benchmarks.serving.peers")
    known: dict[str, Callable[[int], list[str]]] = {
        "newsrec": lambda port: _module(
            "serving",
            "predictor",
            f"--artifact={site.releases}",
            *ours,
            f"--http-port={port}",
            "--grpc-port=0",
            *options,
        ),
        "collector": lambda port: _module(
            "serving", "collector", f"--artifact={site.releases}", *ours, f"--port={port}"
        ),
        "feast": lambda port: [
            *(sys.executable, "-m", "feast.cli.cli", "--chdir", str(site.folder / "peers"), "serve"),
            *("--host", HOST, "--port", str(port), "--max-requests", "0", "--no-access-log"),
        ],
        "published": lambda port: module(
            "published", str(port), feast, f"{HOST}:{ports['behind_published']}", candidates
        ),
        "tuned": lambda port: module("tuned", str(port), feast, f"{HOST}:{grpc}", candidates),
        "behind_published": lambda port: module("predictor", str(port), "0", artifact, "as-published"),
        "behind_tuned": lambda port: module("predictor", str(port), str(grpc), artifact),
        "smart": lambda port: module("smart", str(port), feast, artifact, articles),
        "no-op": lambda port: module("no_op", str(port)),
        "limit": lambda port: module("limit", str(port), vectors),
    }
    environment = site.environment
    return [Command(server, known[server](ports[server]), ports[server], environment) for server in needed]


def _module(package: str, name: str, *arguments: str) -> list[str]:
    if package == "serving":
        return [sys.executable, "-m", "serving", name, *arguments]
    return [sys.executable, "-m", f"{package}.{name}", *arguments]


def _articles(site: Site) -> tuple[Articles, dict[str, dict[str, Any]]]:
    """The candidates' features as arrays and as rows by id, as our store has them."""
    with site.opened() as store:
        rows = store.articles(site.candidates)
    arrays = Articles(
        site.candidates,
        np.stack([unpack_embedding(row["embedding"]) for row in rows]),
        np.array([row["published_at"] for row in rows], np.int64),
        np.array([[row[name] for name in COUNTS] for row in rows], np.float64),
        np.array([row["as_of"] for row in rows], np.int64),
    )
    return arrays, dict(zip(site.candidates, rows, strict=True))


def _vectors(site: Site) -> None:
    """What the limit reads: any vector for each reader."""
    drawn = np.random.default_rng(0).standard_normal((len(site.readers), WIDTH)).astype(np.float32)
    rows = [(reader, vector.tobytes()) for reader, vector in zip(site.readers, drawn, strict=True)]
    if site.redis_port:
        Redis(HOST, site.redis_port, LIMIT_DATABASE).mset({KEY + reader: vector for reader, vector in rows})
        return
    with sqlite3.connect(site.folder / "vectors.db") as connection:
        connection.execute("CREATE TABLE vectors (user_id TEXT PRIMARY KEY, vector BLOB)")
        connection.executemany("INSERT INTO vectors VALUES (?, ?)", rows)


def _visit(stage: Stage) -> None:
    """Every reader gets a slate and passes it by, which the collector is told: as live readers are in the store."""
    collector = stage.servers["collector"].port
    answers = {reader: stage.ask(OURS.name, body(reader))["predictions"][0] for reader in stage.site.readers}
    logged(stage.site, [answer["request_id"] for answer in answers.values()])
    for reader, answer in answers.items():
        events = [
            {"event_id": f"{answer['request_id']}-{shown['position']}", "request_id": answer["request_id"]}
            | {"user_id": reader, "article_id": shown["article_id"], "position": shown["position"]}
            | {"kind": "impression"}
            for shown in answer["slate"]
        ]
        told = post(collector, "/v1/feedback", {"events": events})
        if told["history"] != "updated" or told["accepted"] != len(events):
            raise Void(f"the collector answers {told}, expected {len(events)} accepted and a history that is updated")


def logged(site: Site, requests: Sequence[str]) -> None:
    """Return once the event log holds ``requests``: decisions are committed together, some time after their answer."""
    marks, end = ", ".join("?" * len(requests)), time.monotonic() + LOG_SECONDS
    with closing(sqlite3.connect(site.folder / "events.db")) as connection:
        while True:
            query = f"SELECT count(*) FROM recommendations WHERE request_id IN ({marks})"
            (found,) = connection.execute(query, list(requests)).fetchone()
            if found == len(set(requests)):
                return
            if time.monotonic() > end:
                raise Void(f"the event log holds {found} of {len(requests)} decisions that were answered")
            time.sleep(0.02)
