"""What a run is made of: sources, configurations and digests, resolved when it is submitted.

KFP's cache key sees parameter values only. So the digests of the data and of the code are parameters, configurations
travel as resolved JSON, and the run's id is the digest of all of it: the same inputs are the same run.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from newsrec import config, releases
from newsrec.evaluation.gate import GateConfig
from newsrec.event_log import EventDatabase
from newsrec.ingestion import SOURCES
from newsrec.simulator.config import SimulationConfig
from newsrec.training import RunConfig

ROOT = Path(__file__).resolve().parent.parent
SIMULATED = "simulated"
POLICIES = tuple(Path("configs") / f"{name}.toml" for name in ("popularity", "matrix_factorization", "transformer"))


@dataclass(frozen=True)
class Submission:
    """One run of the training pipeline. ``source`` is ``simulated`` or what ``newsrec.ingestion`` takes."""

    source: str
    policies: tuple[Path, ...]
    """TOML files, one a policy."""
    root: Path
    """Folder with the feature store (``store``) and the releases (``releases``)."""
    timezone: str = ""
    simulation: Path | None = None
    gate: Path | None = None

    def arguments(self) -> dict[str, Any]:
        """The pipeline's arguments, every configuration resolved. Raises InvalidConfig, FileNotFoundError."""
        incumbent = releases.current(self.root / "releases")
        arguments = {
            "code": code_digest(),
            "policies": [_resolved(RunConfig, path) for path in self.policies],
            "gate_config": _resolved(GateConfig, self.gate),
            "store": str((self.root / "store").absolute()),
            "releases": str((self.root / "releases").absolute()),
            "incumbent": incumbent.version if incumbent else "",
        }
        if self.source == SIMULATED:
            arguments["simulation"] = _resolved(SimulationConfig, self.simulation)
        else:
            kind, _, where = self.source.partition(":")
            if kind not in SOURCES or not where:
                known = f"{SIMULATED}, or one of {', '.join(SOURCES)} with :PATH (log:DATABASE_URL)"
                raise config.InvalidConfig(f"source is {self.source!r}, expected {known}")
            absolute = where if kind == "log" else str(Path(where).absolute())
            source = {"source": f"{kind}:{absolute}", "timezone": self.timezone, "data": data_digest(self.source)}
            arguments.update(source)
        return {**arguments, "run": config.digest(arguments)}

    @property
    def pipeline(self) -> str:
        """The pipeline's name in ``pipelines.compile.PIPELINES``."""
        return "simulated-training" if self.source == SIMULATED else "training"


def code_digest(root: Path = ROOT) -> str:
    """Sixteen hex digits over every source file that a component can reach, and the versions beneath them."""
    files = [path for folder in ("newsrec", "feature_repo", "components") for path in (root / folder).rglob("*.py")]
    return _digest_files([*files, root / "requirements.lock"], root)


def data_digest(source: str) -> str:
    """Sixteen hex digits over the bytes behind ``kind:PATH``, or over the state of the event log ``log:URL``.

    Raises FileNotFoundError.
    """
    kind, _, where = source.partition(":")
    path = Path(where.removeprefix("sqlite:///"))
    if kind == "log" and (path.exists() or not where.startswith("sqlite:///")):
        return config.digest(EventDatabase(where).watermark())
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist; expected the log of {source!r}")
    return _digest_files([p for p in path.rglob("*") if p.is_file()] or [path], path)


def _resolved(cls: type, path: Path | None) -> str:
    return json.dumps(config.to_mapping(config.load(cls, path)), sort_keys=True)


def _digest_files(files: list[Path], root: Path) -> str:
    total = hashlib.sha256()
    for path in sorted(files):
        total.update(str(path.relative_to(root)).encode())
        with path.open("rb") as file:
            total.update(hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()[:16]
