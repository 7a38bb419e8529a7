"""A run on a Kubeflow cluster, through the API of Kubeflow Pipelines."""

from typing import Any

from kfp import Client

from pipelines.compile import PIPELINES

EXPERIMENT = "newsrec"


def submit(name: str, arguments: dict[str, Any], host: str) -> str:
    """Submit the pipeline ``name`` and return the run's id on the cluster. The run is named by its inputs' digest."""
    client = Client(host=host)
    submitted = client.create_run_from_pipeline_func(
        PIPELINES[name],
        arguments=arguments,
        run_name=f"{name}-{arguments['run']}",
        experiment_name=EXPERIMENT,
        enable_caching=True,
    )
    return submitted.run_id
