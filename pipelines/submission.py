"""What a run is asked to do: its source and its configurations, resolved when it is submitted.

KFP's cache key sees parameter values only. So the digest of the code is a parameter, configurations travel as resolved
JSON, and the run is named by the digest of all of it; what only the run's own place can tell (the served release, the
state of the source) its first task adds.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from newsrec import config
from newsrec.config import InvalidConfig
from newsrec.evaluation.abtest.config import ExperimentConfig
from newsrec.evaluation.gate import GateConfig
from newsrec.features import HASHED, encoder_version
from newsrec.ingestion import SIMULATED, split
from newsrec.run_start import digest_files
from newsrec.simulator.config import SimulationConfig
from newsrec.supervision import FeedbackConfig
from newsrec.training import RunConfig
from pipelines.cluster import ClusterConfig

ROOT = Path(__file__).resolve().parent.parent
POLICIES = tuple(ROOT / "configs" / f"{n}.toml" for n in ("popularity", "matrix_factorization", "transformer"))


@dataclass(frozen=True)
class Submission:
    """One run of a pipeline that trains. ``source`` is ``simulated`` or what ``newsrec.ingestion`` takes."""

    source: str
    policies: tuple[Path, ...]
    """TOML files, one a policy."""
    root: Path
    """Folder with the feature store (``store``) and the releases (``releases``); on a cluster the claim's."""
    timezone: str = ""
    simulation: Path | None = None
    gate: Path | None = None
    cluster: ClusterConfig | None = None
    """None for this machine."""

    def training(self) -> dict[str, Any]:
        """The arguments of the pipeline ``training``. Raises InvalidConfig and FileNotFoundError."""
        simulation = _resolved(SimulationConfig, self.simulation) if self.source == SIMULATED else "{}"
        return _named({**self._common(), "simulation": simulation})

    def feedback(self, rules: Path | None = None, until: str = "") -> dict[str, Any]:
        """The arguments of the pipeline ``feedback``: ``rules`` is TOML, ``until`` a time ("" for the run's own)."""
        return _named({**self._common(), "rules": _resolved(FeedbackConfig, rules), "until": until})

    def experiment(self, reading: Path | None = None, until: str = "") -> dict[str, Any]:
        """The arguments of the pipeline ``experiment``: ``reading`` is TOML, ``until`` as for ``feedback``."""
        arguments = {"source": self._source(), "timezone": self.timezone, "code": code_digest(), "until": until}
        releases = {"releases": _releases(self.root, self.cluster)["releases"]}
        return _named({**arguments, "config": _resolved(ExperimentConfig, reading), **releases})

    def _common(self) -> dict[str, Any]:
        return {
            "source": self._source(),
            "timezone": self.timezone,
            "code": code_digest(),
            "policies": [_resolved(RunConfig, path) for path in self.policies],
            "gate_config": _resolved(GateConfig, self.gate),
            "store": str(self.root.absolute() / "store"),
            **_releases(self.root, self.cluster),
        }

    def _source(self) -> str:
        """``source`` with a path that does not depend on where the command was given."""
        if self.source == SIMULATED:
            return SIMULATED
        kind, where = split(self.source)
        if kind == "log":
            return self.source
        if self.cluster and not Path(where).is_absolute():
            found = f"the path of {self.source!r} begins here, and the run is in the cluster"
            raise InvalidConfig(f"{found}; expected a path below {self.cluster.root}, where its claim is mounted")
        if not self.cluster and not Path(where).exists():
            raise FileNotFoundError(f"{where} does not exist; expected the log of {self.source!r}")
        return f"{kind}:{Path(where).absolute()}"


def roll_back(root: Path, cluster: ClusterConfig | None, expected: str = "") -> dict[str, Any]:
    """The arguments of the pipeline ``roll-back``: only while ``expected`` is served, "" for whatever is."""
    return _named({"expected": expected, **_releases(root, cluster)})


def deployment(root: Path, cluster: ClusterConfig) -> dict[str, Any]:
    """The arguments of the pipeline ``deploy``."""
    return _named(_releases(root, cluster))


def code_digest(root: Path = ROOT) -> str:
    """Sixteen hex digits over every source file that a component can reach, and the versions beneath them.

    Behind them stands the site's encoder of titles, where it is not the hashed one: its vectors are in what tasks make.
    """
    files = [path for folder in ("newsrec", "feature_repo", "components") for path in (root / folder).rglob("*.py")]
    digits = digest_files([*files, root / "requirements.lock"], root)
    return digits if encoder_version() == HASHED else f"{digits}+{encoder_version()}"


def _releases(root: Path, cluster: ClusterConfig | None) -> dict[str, str]:
    """Where releases are, and what else follows them."""
    served = {"storage": cluster.storage, "service": cluster.inference_service} if cluster else {}
    return {"releases": str(root.absolute() / "releases"), "storage": "", "service": "", **served}


def _named(arguments: dict[str, Any]) -> dict[str, Any]:
    return {**arguments, "run": config.digest(arguments)}


def _resolved(cls: type, path: Path | None) -> str:
    return json.dumps(config.to_mapping(config.load(cls, path)), sort_keys=True)
