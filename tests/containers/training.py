"""The training pipeline through KFP's runner that starts a container a task."""

from pathlib import Path
from typing import NamedTuple

import docker
from kfp import local

from newsrec import events, ingestion
from newsrec import releases as released
from newsrec.events import EventLog
from newsrec.simulator.config import SimulationConfig
from pipelines.compile import PIPELINES
from pipelines.submission import Submission
from tests.containers.hardened import HARDENED, writable

LENIENT = "min_lift_over_popularity = -1.0\nmax_same_list = 1.0\n"
POLICIES = ("popularity", "matrix_factorization")


class Trained(NamedTuple):
    """What a run left in ``folder``."""

    folder: Path
    run: str
    log: EventLog
    """What it was trained on."""

    @property
    def releases(self) -> Path:
        return self.folder / "site" / "releases"

    @property
    def release(self) -> released.Release:
        release = released.current(self.releases)
        assert release is not None, "nothing was published"
        return release

    def output(self, task: str, name: str) -> Path:
        """Where ``task`` left its output ``name``."""
        (path,) = self.folder.glob(f"site/runs/*/{task}/{name}")
        return path


def train(folder: Path) -> Trained:
    """A small simulated log, mounted read-only, through the pipeline ``training``; containers have no network."""
    log = folder / "log"
    ingestion.simulate_to(SimulationConfig(readers=150, days=4, articles_per_day=20), log)
    gate = folder / "gate.toml"
    gate.write_text(LENIENT)
    policies = tuple(folder / f"{name}.toml" for name in POLICIES)
    for path in policies:
        path.write_text(f'policy = "{path.stem}"\n[training]\nepochs = 1\n')
    site = folder / "site"
    submission = Submission(f"events:{log}", policies, site, gate=gate)
    arguments = submission.training()
    mounts = [docker.types.Mount(str(log), str(log), "bind", read_only=True)]
    mounts += [docker.types.Mount(str(site), str(site), "bind")]
    (site / "runs").mkdir(parents=True)  # or the engine makes it, for root alone
    user = writable(site)
    runner = local.DockerRunner(**HARDENED, network_mode="none", mem_limit="2g", mounts=mounts, user=user)
    local.init(runner, pipeline_root=str(site / "runs"))
    PIPELINES["training"](None)(**arguments)
    return Trained(folder, arguments["run"], events.read(log))
