"""The pods of pipeline tasks, as far as a compiled pipeline says what they are."""

from pathlib import Path
from typing import Any

import yaml

from pipelines.cluster import ClusterConfig
from pipelines.compile import compile_to
from tests.fast_kfp import fast_kfp
from tests.manifests.objects import Object

OF_KUBEFLOW = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
"""What Kubeflow Pipelines gives every container beside the task's own context, and a seccomp profile to the pod."""


def task_jobs(cluster: ClusterConfig, folder: Path) -> list[Object]:
    """A Job for each task of each pipeline, compiled into ``folder``; checkov and our rules know what a Job is."""
    jobs = []
    with fast_kfp():
        compiled = compile_to(folder, cluster)
    for path in compiled:
        pipeline, platform = yaml.load_all(path.read_text(), yaml.CSafeLoader)
        options = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
        for executor, runs in pipeline["deploymentSpec"]["executors"].items():
            spec = _pod(runs["container"], options[executor], cluster)
            name = f"{path.stem}-{executor.removeprefix('exec-')}"
            template = {"metadata": {"labels": {"pipelines.kubeflow.org/v2_component": "true"}}, "spec": spec}
            metadata = {"name": name, "namespace": "kubeflow"}
            jobs.append({"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": {"template": template}})
    return jobs


def _pod(runs: dict[str, Any], options: dict[str, Any], cluster: ClusterConfig) -> dict[str, Any]:
    asked = runs.get("resources", {})
    secrets = [
        {
            "name": key["envVar"],
            "valueFrom": {"secretKeyRef": {"name": secret["secretName"], "key": key["secretKey"]}},
        }
        for secret in options.get("secretAsEnv", [])
        for key in secret["keyToEnv"]
    ]
    context = {k: int(v) if k.endswith(("User", "Group")) else v for k, v in options.get("securityContext", {}).items()}
    container = {
        "name": "main",
        "image": runs["image"],
        "imagePullPolicy": options.get("imagePullPolicy"),
        "env": runs.get("env", []) + secrets,
        "resources": {
            bound: {part: asked[f"resource{part.title()}{which}"] for part in ("cpu", "memory")}
            for bound, which in (("requests", "Request"), ("limits", "Limit"))
        },
        "securityContext": context | OF_KUBEFLOW,
        "volumeMounts": [{"name": claim["constant"], "mountPath": claim["mountPath"]} for claim in options["pvcMount"]],
    }
    return {
        "restartPolicy": "Never",
        "activeDeadlineSeconds": int(options["activeDeadlineSeconds"]),
        "serviceAccountName": cluster.service_account,
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
        "volumes": [
            {"name": claim["constant"], "persistentVolumeClaim": {"claimName": claim["constant"]}}
            for claim in options["pvcMount"]
        ],
    }
