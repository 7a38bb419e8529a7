"""A run on a Kubeflow cluster, through the API of Kubeflow Pipelines."""

import contextlib
import io
from typing import Any, NamedTuple

from pipelines.api import api, link, made_experiment
from pipelines.cluster import ClusterConfig
from pipelines.compile import PIPELINES


class Submitted(NamedTuple):
    """A run that the cluster has taken."""

    run_id: str
    link: str


def submit(name: str, arguments: dict[str, Any], cluster: ClusterConfig, host: str) -> Submitted:
    """Submit the pipeline ``name`` of PIPELINES. The run is named by its inputs' digest. Raises ApiFailed."""
    with api(host) as client, contextlib.redirect_stdout(io.StringIO()):  # the client prints links
        submitted = client.create_run_from_pipeline_func(
            PIPELINES[name](cluster),
            arguments=arguments,
            run_name=f"{name}-{arguments['run']}",
            experiment_id=made_experiment(client),
            pipeline_root=cluster.pipeline_root or None,
            service_account=cluster.service_account,
        )  # enable_caching stays out: True would cache what a pipeline says is never cached
    return Submitted(submitted.run_id, link(host, submitted.run_id))
