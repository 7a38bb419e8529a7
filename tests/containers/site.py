"""A site in containers on a network of its own: Redis, PostgreSQL, the collector and two predictors."""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import docker
import httpx
from docker.models.containers import Container

from components import IMAGE
from tests.containers.hardened import HARDENED, LABELS, RUN, writable
from tests.containers.training import Trained
from tests.manifests.breaking import pod_spec
from tests.manifests.objects import render

SERVING_IMAGE = IMAGE.replace("pipeline", "serving")
START_SECONDS = 120
"""Far more than anything takes to start."""
PREDICTOR_PORT, COLLECTOR_PORT = 8080, 8090
CREATE_STORE = 'from feature_repo.store import create_store; create_store("/store")'
MATERIALIZE = """
import sys
from feature_repo.store import materialize_training_set
materialize_training_set(sys.argv[1], "/tmp/store", "/tmp/metrics.json")
"""


class Site:
    """Started as the manifests start it; Redis holds the features of ``trained``, whose release is served."""

    def __init__(
        self, engine: docker.DockerClient, servers: str, trained: Trained, folder: Path, say: Callable[[str], None]
    ) -> None:
        self._engine, self._servers, self.trained = engine, servers, trained
        self.folder = folder
        self.network = engine.networks.create(f"newsrec-{RUN}", labels=LABELS)
        self.redis = self._start("redis", servers, redis_command())
        self.postgres = self.start_postgres("postgres")
        wait_for(lambda: self.redis.exec_run(["redis-cli", "ping"]).exit_code == 0)
        self.event_log = event_log_in(self.postgres)
        self._environment = {"NEWSREC_REDIS": f"{self.redis.name}:6379", "PGPASSWORD": RUN}
        self.run_task(MATERIALIZE, str(trained.output("features", "training_set")))
        user = writable(folder / "store")
        self._server("create-store", ["-c", CREATE_STORE], user=user, entrypoint="python3", detach=False)
        self.collector = self.start_collector("collector", self.event_log)
        say(f"collector ready {seconds_to_ready(self.collector):.1f} s after its start")
        self.predictors = []
        for number in range(2):
            self.predictors.append(self.start_predictor(f"predictor-{number}", trained.release.directory))
            seconds, used = seconds_to_ready(self.predictors[-1]), cpu_seconds(self.predictors[-1])
            say(f"predictor ready {seconds:.1f} s after its start (bar: 15 s), after {used:.1f} s of CPU")

    def run_task(self, code: str, *arguments: str, **options: Any) -> None:
        """Run ``code`` in the pipeline image, on the site's network, with what the training left to read."""
        trained = str(self.trained.folder / "site")
        volumes = {trained: {"bind": trained, "mode": "ro"}, **options.pop("volumes", {})}
        command = ["python3", "-c", code, *arguments]
        settings = {**HARDENED, "environment": self._environment, "network": self.network.name, "mem_limit": "2g"}
        self._engine.containers.run(IMAGE, command, volumes=volumes, **settings, **options)

    def start_postgres(self, name: str, **options: Any) -> Container:
        """PostgreSQL with an empty database, when it accepts connections."""
        password = {"POSTGRES_PASSWORD": RUN}
        container = self._start(name, self._servers, ["start-postgres"], environment=password, **options)
        wait_for(lambda: container.exec_run(["pg_isready", "--host=127.0.0.1"]).exit_code == 0)
        return container

    def start_collector(self, name: str, event_log: str, *arguments: str, **options: Any) -> Container:
        command = ["collector", "--host=0.0.0.0", "--store=/store", f"--event-log={event_log}", *arguments]
        return self._server(name, command, port=COLLECTOR_PORT, mem_limit="1g", **options)

    def start_predictor(self, name: str, release: Path) -> Container:
        """A predictor of the artefact in ``release``, as the storage initializer leaves it in a pod."""
        command = ["predictor", "--artifact=/mnt/models", "--method=greedy", f"--http-port={PREDICTOR_PORT}"]
        command += ["--host=0.0.0.0", "--store=/store", f"--event-log={self.event_log}"]
        models = {str(release): {"bind": "/mnt/models", "mode": "ro"}}
        return self._server(name, command, port=PREDICTOR_PORT, mem_limit="2g", volumes=models)

    def _server(self, name: str, command: list[str], port: int | None = None, **options: Any) -> Container:
        """A container of the serving image; with a ``port`` it serves, and may only read the store."""
        store = {str(self.folder / "store"): {"bind": "/store", "mode": "ro" if port else "rw"}}
        if port:
            options["ports"] = {f"{port}/tcp": ("127.0.0.1", None)}
        options["volumes"] = {**store, **options.pop("volumes", {})}
        return self._start(name, SERVING_IMAGE, command, environment=self._environment, **options)

    def _start(self, name: str, image: str, command: list[str], **options: Any) -> Container:
        settings = {**HARDENED, "mem_limit": "512m", "detach": True, "network": self.network.name, **options}
        return self._engine.containers.run(image, command, name=f"newsrec-{RUN}-{name}", **settings)


def redis_command() -> list[str]:
    """What Kubernetes starts for the StatefulSet redis, with the $(VARIABLE)s of its environment filled in."""
    (server,) = pod_spec(render("kind"), "redis")["containers"]
    environment = {entry["name"]: entry["value"] for entry in server["env"]}
    return [re.sub(r"\$\((\w+)\)", lambda found: environment[found[1]], part) for part in server["args"]]


def event_log_in(postgres: Container) -> str:
    return f"postgresql://newsrec@{postgres.name}/newsrec"


def base_url(container: Container) -> str:
    """Where ``container`` is published; another port after each start."""
    container.reload()
    ((binding, *_),) = [found for found in container.attrs["NetworkSettings"]["Ports"].values() if found]
    return f"http://{binding['HostIp']}:{binding['HostPort']}"


def is_ready(container: Container) -> bool:
    return answers(container, "/healthz" if "collector" in container.name else "/v2/health/ready")


def answers(container: Container, path: str) -> bool:
    """Whether a GET of ``path`` is answered with 200. Fails where the container has ended."""
    container.reload()
    assert container.status in ("created", "running"), container.logs().decode()
    try:
        return httpx.get(base_url(container) + path, timeout=5).status_code == 200
    except httpx.TransportError:
        return False


def log_lines(container: Container) -> list[str]:
    return container.logs().decode().splitlines()


def stray_lines(container: Container) -> list[str]:
    """Lines that begin with no time: of a traceback or a database's statement, where one line should say why."""
    return [line for line in log_lines(container) if not re.match(r"\d{4}-\d\d-\d\d \d\d:", line)]


@contextmanager
def killed(container: Container) -> Iterator[None]:
    """Without ``container`` from the block's beginning to its end."""
    container.kill()
    try:
        yield
    finally:
        container.start()


@contextmanager
def removed(container: Container) -> Iterator[Container]:
    """``container``, removed at the block's end."""
    try:
        yield container
    finally:
        container.remove(force=True, v=True)


def seconds_to_ready(container: Container) -> float:
    """Wait until the server that was started just now is ready; how long that took."""
    began = time.monotonic()
    wait_for(lambda: is_ready(container))
    return time.monotonic() - began


def cpu_seconds(container: Container) -> float:
    """What ``container`` has used so far; unlike the time, much the same on a busy machine."""
    return container.stats(stream=False)["cpu_stats"]["cpu_usage"]["total_usage"] / 1e9


def wait_for(condition: Callable[[], object], seconds: float = START_SECONDS) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.1)
