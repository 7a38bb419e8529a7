"""Pipelines to the YAML that a Kubeflow cluster takes."""

from collections.abc import Callable, Mapping
from pathlib import Path

from kfp import compiler
from kfp.dsl.base_component import BaseComponent

from pipelines.cluster import ClusterConfig
from pipelines.deployment import deployment
from pipelines.experiment import experiment
from pipelines.feedback import feedback
from pipelines.rollback import rollback
from pipelines.training import training

PIPELINES: Mapping[str, Callable[..., BaseComponent]] = {
    "training": training,
    "feedback": feedback,
    "roll-back": rollback,
    "deploy": deployment,
    "experiment": experiment,
}
"""Name -> what makes it for a cluster, None for this machine, and perhaps for one run of it (JOB)."""


def compile_to(directory: str | Path, cluster: ClusterConfig) -> list[Path]:
    """Write ``newsrec-NAME.yaml`` for each pipeline on ``cluster`` into ``directory`` and return the paths."""
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, pipeline in PIPELINES.items():
        path = directory / f"newsrec-{name}.yaml"
        compiler.Compiler().compile(pipeline(cluster), str(path))
        paths.append(path)
    return paths
