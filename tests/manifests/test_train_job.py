"""A made-up TrainJob: no overlay has one yet, and its pod must be seen the day one has."""

import copy
from typing import Any

import pytest

from tests.manifests.objects import Object, pods
from tests.manifests.schemas import find_schemas

HARDENED = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
POD_PATCH = {
    "securityContext": {
        "runAsNonRoot": True,
        "runAsUser": 10001,
        "runAsGroup": 10001,
        "seccompProfile": {"type": "RuntimeDefault"},
    },
    "containers": [
        {
            "name": "node",
            "securityContext": HARDENED,
            "volumeMounts": [
                {"name": "newsrec", "mountPath": "/mnt/newsrec"},
                {"name": "newsrec", "mountPath": "/mnt/models"},
            ],
        }
    ],
    "volumes": [{"name": "newsrec", "persistentVolumeClaim": {"claimName": "newsrec"}}],
}
RESOURCES = {"requests": {"cpu": "1", "memory": "2Gi"}, "limits": {"cpu": "2", "memory": "4Gi"}}
TRAIN_JOB: Object = {
    "apiVersion": "trainer.kubeflow.org/v1alpha1",
    "kind": "TrainJob",
    "metadata": {"name": "bert", "namespace": "newsrec"},
    "spec": {
        "runtimeRef": {"name": "torch-distributed"},
        "trainer": {
            "image": "newsrec-pipeline:0.1.0",
            "command": ["torchrun"],
            "numNodes": 2,
            "resourcesPerNode": RESOURCES,
        },
        "runtimePatches": [
            {
                "manager": "newsrec.example.org/tests",
                "trainingRuntimeSpec": {
                    "template": {
                        "spec": {
                            "replicatedJobs": [
                                {"name": "node", "template": {"spec": {"template": {"spec": POD_PATCH}}}}
                            ]
                        }
                    }
                },
            }
        ],
    },
}


def runtime(**container: Any) -> Object:
    """The runtime that TRAIN_JOB refers to, where the manifests have it themselves."""
    pod = {"spec": {"automountServiceAccountToken": False, "containers": [{"name": "node", **container}]}}
    jobs = [{"name": "node", "template": {"spec": {"template": pod}}}]
    return {
        "apiVersion": "trainer.kubeflow.org/v1alpha1",
        "kind": "ClusterTrainingRuntime",
        "metadata": {"name": "torch-distributed"},
        "spec": {"template": {"spec": {"replicatedJobs": jobs}}},
    }


def test_both_are_objects_that_the_api_server_takes() -> None:
    schemas = find_schemas()
    assert schemas.complaints(TRAIN_JOB) == []
    assert schemas.complaints(runtime()) == []
    wrong = copy.deepcopy(TRAIN_JOB)
    wrong["spec"]["runtimePatches"][0]["trainingRuntimeSpec"]["template"]["spec"]["replicatedJobs"][0]["nmae"] = "x"
    (complaint,) = schemas.complaints(wrong)
    assert "'nmae' was unexpected" in complaint


def test_a_pod_is_the_trainer_in_the_patched_node() -> None:
    (pod,) = pods([TRAIN_JOB])
    assert (pod.owner, pod.name, pod.namespace) == ("TrainJob bert (bert-node)", "bert-node", "newsrec")
    assert pod.labels["jobset.sigs.k8s.io/jobset-name"] == "bert"
    assert not pod.serves
    (container,) = pod.containers
    assert container == {
        "name": "node",
        "image": "newsrec-pipeline:0.1.0",
        "command": ["torchrun"],
        "resources": RESOURCES,
        "securityContext": HARDENED,
        "volumeMounts": POD_PATCH["containers"][0]["volumeMounts"],
    }
    assert pod.spec["securityContext"] == POD_PATCH["securityContext"]


def test_what_the_runtime_says_stays_where_the_train_job_says_nothing() -> None:
    mounts = [{"name": "shm", "mountPath": "/dev/shm"}, {"name": "data", "mountPath": "/mnt/newsrec"}]
    theirs = runtime(image="example.org/torch:1", workingDir="/srv", volumeMounts=mounts)
    side = {"spec": {"containers": [{"name": "load", "image": "example.org/initializer:1"}]}}
    theirs["spec"]["template"]["spec"]["replicatedJobs"].append(
        {"name": "data", "template": {"spec": {"template": side}}}
    )
    node, data = pods([theirs, TRAIN_JOB])
    assert (data.name, data.containers) == ("bert-data", side["spec"]["containers"])
    assert node.spec["automountServiceAccountToken"] is False
    (container,) = node.containers
    assert (container["image"], container["workingDir"]) == ("newsrec-pipeline:0.1.0", "/srv")
    assert {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]} == {
        "/dev/shm": "shm",
        "/mnt/newsrec": "newsrec",
        "/mnt/models": "newsrec",
    }


@pytest.mark.parametrize("kind", ["TrainingRuntime", "ClusterTrainingRuntime"])
def test_only_the_runtime_that_is_referred_to_counts(kind: str) -> None:
    other = {**runtime(), "kind": kind}
    other["spec"]["template"]["spec"]["replicatedJobs"][0]["template"]["spec"]["template"]["spec"]["hostNetwork"] = True
    (pod,) = pods([other, TRAIN_JOB])
    assert pod.spec.get("hostNetwork", False) == (kind == "ClusterTrainingRuntime")
