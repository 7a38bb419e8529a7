"""The pods of a TrainJob, which stand in three places: its runtime, its patches to the runtime, and its trainer.

A runtime that the cluster has and the manifests do not is taken to say nothing: then a pod is what the TrainJob itself
says of it. The job and the container that train are called ``node``, as in Kubeflow Trainer's own runtimes.
"""

from collections.abc import Iterator
from typing import Any

NODE = "node"
FROM_TRAINER = {"image": "image", "command": "command", "args": "args", "env": "env", "resourcesPerNode": "resources"}
"""Field of a TrainJob's trainer -> field of the container that trains."""


def node_pods(
    job: dict[str, Any], objects: list[dict[str, Any]]
) -> Iterator[tuple[str, dict[str, str], dict[str, Any]]]:
    """Name, labels and pod spec of each kind of pod that ``job`` makes; its runtime is looked for in ``objects``."""
    patches = [patch["trainingRuntimeSpec"] for patch in job["spec"].get("runtimePatches", [])]
    jobs: dict[str, dict[str, Any]] = {NODE: {}}
    for spec in [_runtime(job["spec"]["runtimeRef"], objects), *patches]:
        for replicated in spec.get("template", {}).get("spec", {}).get("replicatedJobs", []):
            template = replicated.get("template", {}).get("spec", {}).get("template", {})
            jobs[replicated["name"]] = laid_over(jobs.get(replicated["name"], {}), template)
    trainer = job["spec"].get("trainer", {})
    container = {"name": NODE, **{FROM_TRAINER[key]: trainer[key] for key in trainer.keys() & FROM_TRAINER.keys()}}
    jobs[NODE] = laid_over(jobs[NODE], {"spec": {"containers": [container]}})
    for name, template in jobs.items():
        labels = {
            **template.get("metadata", {}).get("labels", {}),
            "jobset.sigs.k8s.io/jobset-name": job["metadata"]["name"],
            "jobset.sigs.k8s.io/replicatedjob-name": name,
        }
        yield name, labels, {"restartPolicy": "OnFailure", **template["spec"]}


def _runtime(reference: dict[str, str], objects: list[dict[str, Any]]) -> dict[str, Any]:
    wanted = (reference.get("kind", "ClusterTrainingRuntime"), reference["name"])
    found = (thing["spec"] for thing in objects if (thing["kind"], thing["metadata"]["name"]) == wanted)
    return next(found, {})


def laid_over(below: Any, above: Any) -> Any:
    """``above`` over ``below``: objects field by field, lists of named objects name by name, all else replaced."""
    if isinstance(below, dict) and isinstance(above, dict):
        return below | {key: laid_over(below.get(key), value) for key, value in above.items()}
    if isinstance(below, list) and isinstance(above, list):
        for key in ("mountPath", "name"):
            if all(key in each for each in below + above):
                named = {each[key]: each for each in below}
                return list((named | {each[key]: laid_over(named.get(each[key]), each) for each in above}).values())
    return above
