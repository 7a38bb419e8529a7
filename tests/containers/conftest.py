"""A Docker engine with the images that `make images` builds, and a release trained in containers."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import docker
import pytest

from tests.conftest import ROOT, unavailable
from tests.containers.hardened import LABELS
from tests.containers.site import Site
from tests.containers.training import Trained, train

INSTALL = "no Docker engine answers; scripts/docker-engine installs and starts one on Debian"
Say = Callable[[str], None]


@pytest.fixture(scope="session")
def engine() -> Iterator[docker.DockerClient]:
    """The engine; whatever carries this run's label is removed at the end, and nothing else."""
    try:
        client = docker.from_env()
        client.ping()
    except docker.errors.DockerException as error:
        unavailable("docker", f"{INSTALL} ({error})")
    yield client
    ours = {"label": [f"{name}={value}" for name, value in LABELS.items()]}
    for container in client.containers.list(all=True, filters=ours):
        container.remove(force=True, v=True)
    for network in client.networks.list(filters=ours):
        network.remove()
    client.close()


@pytest.fixture(scope="session")
def say(request: pytest.FixtureRequest) -> Say:
    """Print to the terminal, past pytest: what takes minutes, and figures that no test asserts."""
    capture = request.config.pluginmanager.getplugin("capturemanager")

    def printed(line: str) -> None:
        with capture.global_and_fixture_disabled():
            print(f"\ncontainers: {line}", flush=True)

    return printed


@pytest.fixture(scope="session")
def images(engine: docker.DockerClient, say: Say) -> None:
    """Both images, of the files as they are now."""
    say("building the images")
    subprocess.run([sys.executable, ROOT / "scripts" / "images"], check=True)


@pytest.fixture(scope="session")
def trained(engine: docker.DockerClient, images: None, say: Say, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    say("training pipeline, each task in a container without a network")
    return train(tmp_path_factory.mktemp("training"))


@pytest.fixture(scope="session")
def servers(engine: docker.DockerClient, images: None, say: Say) -> str:
    """The image with Redis and PostgreSQL, kept for the next run."""
    say("image with Redis and PostgreSQL from Debian's packages")
    base = {"PYTHON_IMAGE": os.environ["PYTHON_IMAGE"]} if "PYTHON_IMAGE" in os.environ else {}
    folder = Path(__file__).parent / "servers"
    image, _ = engine.images.build(path=str(folder), tag="newsrec-test-servers", buildargs=base, rm=True)
    return image.id


@pytest.fixture(scope="session")
def site(
    engine: docker.DockerClient, servers: str, trained: Trained, say: Say, tmp_path_factory: pytest.TempPathFactory
) -> Site:
    """Everything that a site runs, started and ready."""
    say("Redis, PostgreSQL, collector, two predictors")
    return Site(engine, servers, trained, tmp_path_factory.mktemp("site"), say)
