"""The Job that deletes a reader, made of the manifests by the commands of docs/privacy.md, works on what tasks have."""

import copy
import re
import shlex
import shutil
import subprocess

import pytest
import yaml

from tests.conftest import ROOT, unavailable
from tests.manifests.objects import OVERLAYS, Object, find, render
from tests.manifests.test_kserve import COMMANDS
from tests.manifests.test_pipelines import cluster_of

READER = "9266175ac0e5692db793c2ff4b72068c"
PAGE = (ROOT / "docs" / "privacy.md").read_text()


def said(beginning: str) -> list[str]:
    """The words of the command in docs/privacy.md that begins so, over its lines."""
    (found,) = re.findall(rf"^.*{re.escape(beginning)}(?:.*\\\n)*.*$", PAGE, re.MULTILINE)
    return shlex.split(found.replace("\\\n", " "))


def job(objects: list[Object]) -> Object:
    """What ``kubectl create job --from`` makes of the CronJob, after the second command of the page."""
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        unavailable("kubectl", "kubectl not found; https://kubernetes.io/docs/tasks/tools/ says how to install it")
    template = copy.deepcopy(find(objects, "CronJob", "forget-reader")["spec"]["jobTemplate"])
    made = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "forget-1"}, **template}
    words = said("kubectl set env")
    words = words[words.index("set") : words.index("|", words.index("set"))]
    words = [word.replace("$stored", READER) for word in words]
    done = subprocess.run([kubectl, *words], input=yaml.safe_dump(made), capture_output=True, text=True, check=True)
    return yaml.safe_load(done.stdout)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_job_deletes_the_reader_in_what_tasks_have(overlay: str) -> None:
    objects = render(overlay)
    cluster, spec = cluster_of(objects), job(objects)["spec"]["template"]["spec"]
    (part,) = spec["containers"]
    environment = {entry["name"]: entry.get("value", entry.get("valueFrom")) for entry in part["env"]}
    name, *arguments = [word.replace("$(READER)", environment["READER"]) for word in part["args"]]
    taken = COMMANDS[name].make_context(name, arguments).params
    assert name == "forget"
    assert (taken["reader"], taken["event_log"], str(taken["store"])) == (
        READER,
        cluster.event_log,
        f"{cluster.root}/store",
    )
    assert environment["NEWSREC_REDIS"] == cluster.redis
    assert environment["PGPASSWORD"]["secretKeyRef"] == {"name": cluster.postgres_secret, "key": "password"}
    assert {"name": "newsrec", "mountPath": cluster.root} in part["volumeMounts"]
    assert {"name": "newsrec", "persistentVolumeClaim": {"claimName": cluster.claim}} in spec["volumes"]


def test_nothing_runs_before_somebody_asks() -> None:
    spec = find(render("kind"), "CronJob", "forget-reader")["spec"]
    assert spec["suspend"] is True
    (part,) = spec["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    assert {"name": "READER", "value": ""} in part["env"]  # which the command refuses


def test_the_stored_id_comes_from_a_pod_that_has_the_key() -> None:
    words = said("kubectl -n newsrec exec deploy/collector")
    collector = find(render("kind"), "Deployment", "collector")["spec"]["template"]["spec"]["containers"][0]
    command = words[words.index("serving") + 1 :]
    taken = COMMANDS[command[0]].make_context(command[0], [word.rstrip(")") for word in command[1:]]).params
    assert f"--reader-key-file={taken['reader_key_file']}" in collector["args"]
    assert taken["reader"] == "READER"
