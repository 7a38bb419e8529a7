"""Pipelines to the YAML that a Kubeflow cluster takes."""

from pathlib import Path

from kfp import compiler

from pipelines.training import simulated_training, training

PIPELINES = {"training": training, "simulated-training": simulated_training}


def compile_all(directory: str | Path) -> list[Path]:
    """Write ``newsrec-NAME.yaml`` for each pipeline into ``directory`` and return the paths."""
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, pipeline in PIPELINES.items():
        path = directory / f"newsrec-{name}.yaml"
        compiler.Compiler().compile(pipeline, str(path))
        paths.append(path)
    return paths
