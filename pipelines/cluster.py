"""Where tasks run on a Kubernetes cluster: volumes, credentials, limits, retries; on this machine nothing of it."""

import re
from dataclasses import dataclass
from typing import Literal

from kfp import dsl, kubernetes

from newsrec import config

USER = 10001
"""Of the image."""
Need = Literal["database", "online store", "object store", "accelerator"]
"""What a task reaches beyond the volume that all have."""
JOB = dsl.PIPELINE_JOB_ID_PLACEHOLDER
"""Of the runs of one request, such as those of a schedule, the one at hand: Kubeflow's id, for which it looks in an
argument that is this and nothing else."""
_NAME = "[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?"
_LABEL = re.compile(f"(?:{_NAME}/)?{_NAME}=(?:{_NAME})?")
"""One of a node, as Kubernetes allows it; its value may be empty."""


@dataclass(frozen=True)
class ClusterConfig:
    """One cluster. The defaults are those of ``make kind-up``; ``configs/clusters`` says where others differ."""

    claim: str = "newsrec"
    """PersistentVolumeClaim beside the runs, with the feature store and the releases. Tasks on several nodes at once
    need one that can be mounted by several."""
    root: str = "/mnt/newsrec"
    """Where it is mounted."""
    pipeline_root: str = ""
    """Where KFP keeps the artefacts of runs, such as ``s3://bucket/runs``; "" for the cluster's own default."""
    service_account: str = "newsrec-runner"
    image: str = ""
    """Pipeline image with its registry; "" for the one in ``components.IMAGE``."""
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"
    event_log: str = "postgresql://newsrec@postgres.newsrec/newsrec"
    """URL without a password, as it is reached from the runs."""
    postgres_secret: str = "newsrec-postgres"
    """Secret beside the runs, whose key ``password`` opens the event log."""
    redis: str = "redis.newsrec:6379"
    """HOST:PORT of the online features."""
    inference_service: str = "newsrec/newsrec"
    """NAMESPACE/NAME of what serves."""
    storage: str = "s3://mlpipeline/newsrec/releases"
    """Prefix in the object store under which each release has its version's name."""
    object_store_endpoint: str = "http://seaweedfs.kubeflow:8333"
    """URL, "" for Amazon S3."""
    object_store_region: str = "us-east-1"
    object_store_secret: str = "mlpipeline-minio-artifact"
    """Secret beside the runs, with the keys ``accesskey`` and ``secretkey``."""
    cpu: tuple[str, str] = ("500m", "2")
    """Request and limit of each task."""
    memory: tuple[str, str] = ("1Gi", "4Gi")
    gpu: str = ""
    """A node's label, such as ``cloud.google.com/gke-accelerator=nvidia-l4``: training takes one GPU there."""
    retries: int = 2
    retry_after_seconds: int = 30
    """Doubles with each try, up to ten minutes."""
    timeout_seconds: int = 7200
    """Of each try of a task."""

    def __post_init__(self) -> None:
        if self.retries < 0 or self.retry_after_seconds < 1 or self.timeout_seconds < 1:
            raise ValueError("retries below 0, or no seconds to wait or to run; expected 0 or more, and 1 or more")
        if self.inference_service.count("/") != 1:
            raise ValueError(f"inference_service is {self.inference_service!r}, expected NAMESPACE/NAME")
        if self.gpu and not _LABEL.fullmatch(self.gpu):
            raise ValueError(f"gpu is {self.gpu!r}, expected LABEL=VALUE of the nodes that have one")
        if not self.storage.startswith("s3://"):
            raise ValueError(f"storage is {self.storage!r}, expected s3://BUCKET/PREFIX")


def with_gpu(cluster: ClusterConfig, gpu: str | None) -> ClusterConfig:
    """``cluster`` with ``gpu`` in place of its own, None for its own. Raises InvalidConfig."""
    return cluster if gpu is None else config.from_mapping(ClusterConfig, {**vars(cluster), "gpu": gpu}, "--gpu")


def place(
    task: dsl.PipelineTask, cluster: ClusterConfig | None, *needs: Need, cached: bool = True, retried: bool = True
) -> dsl.PipelineTask:
    """``task`` with all that it takes to run on ``cluster``; None is this machine, where it takes nothing."""
    task.set_caching_options(cached)
    if cluster is None:
        return task
    task.set_cpu_request(cluster.cpu[0]).set_cpu_limit(cluster.cpu[1])
    task.set_memory_request(cluster.memory[0]).set_memory_limit(cluster.memory[1])
    wait = {
        "backoff_duration": f"{cluster.retry_after_seconds}s",
        "backoff_factor": 2.0,
        "backoff_max_duration": "600s",
    }
    task.set_retry(cluster.retries if retried else 0, **wait)
    if cluster.image:
        task.set_container_image(cluster.image)
    kubernetes.set_timeout(task, cluster.timeout_seconds)
    kubernetes.set_image_pull_policy(task, cluster.image_pull_policy)
    kubernetes.set_security_context(task, run_as_user=USER, run_as_group=USER, run_as_non_root=True)
    kubernetes.mount_pvc(task, cluster.claim, cluster.root)
    for need in needs:
        _provide(task, cluster, need)
    return task


def _provide(task: dsl.PipelineTask, cluster: ClusterConfig, need: Need) -> None:
    match need:
        case "database":
            kubernetes.use_secret_as_env(task, cluster.postgres_secret, {"password": "PGPASSWORD"})
        case "online store":
            task.set_env_variable("NEWSREC_REDIS", cluster.redis)
        case "object store":
            task.set_env_variable("AWS_REGION", cluster.object_store_region)
            if cluster.object_store_endpoint:
                task.set_env_variable("AWS_ENDPOINT_URL", cluster.object_store_endpoint)
            keys = {"accesskey": "AWS_ACCESS_KEY_ID", "secretkey": "AWS_SECRET_ACCESS_KEY"}
            kubernetes.use_secret_as_env(task, cluster.object_store_secret, keys)
        case "accelerator" if cluster.gpu:
            task.set_accelerator_type("nvidia.com/gpu").set_accelerator_limit(1)
            kubernetes.add_node_selector(task, *cluster.gpu.split("="))
