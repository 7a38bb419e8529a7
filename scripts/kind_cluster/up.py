"""From nothing to a cluster with newsrec in it, step by step; a step leaves alone what is already as it should be."""

import contextlib
from collections.abc import Callable
from functools import partial

from rich.console import Console

from scripts.kind_cluster import host, newsroom, stack
from scripts.kind_cluster.commands import CONFIG, Cluster, Failed, cluster, run, step
from scripts.kind_cluster.downloads import Downloads
from scripts.kind_cluster.versions import Versions

SLOW = "if images are slow to come, run it again: what has come stays; else docs/troubleshooting.md"
REACH = """
From now on, each in a terminal of its own:

  Kubeflow Pipelines  {kubectl} -n kubeflow port-forward service/ml-pipeline-ui 8082:80      http://localhost:8082
  its API             {kubectl} -n kubeflow port-forward service/ml-pipeline 8888:8888
  predictor           {kubectl} -n newsrec port-forward service/newsrec-predictor 8080:80
  collector           {kubectl} -n newsrec port-forward service/collector 8090:80
  event log           {kubectl} -n newsrec exec -it postgres-0 -- psql --host=127.0.0.1 --username=newsrec
  everything          {kubectl} get pods --all-namespaces
"""
ASK = """  curl localhost:8080/v1/models/newsrec:predict -H 'content-type: application/json' \\
    -d '{"instances": [{"user_id": "ann", "k": 5, "time": "2024-03-11T00:10:00Z"}]}'     # the demo's log ends there
"""


def up(downloads: Downloads, console: Console) -> None:
    """Everything. Raises StepFailed."""
    versions = downloads.versions
    with step(console, "Tools and images") as say:
        info = host.docker()
        host.kubectl()
        here = cluster(host.kind(downloads, say))
        manifests = newsroom.render()
        host.require_own_images(manifests)
    for sentence in host.shortages(info):
        console.print(f"[yellow]![/] {sentence}", soft_wrap=True)
    with step(console, f"Cluster {here.name}", "see that Docker has memory and disk left") as say:
        ensure_cluster(here, versions, say)
    parts: dict[str, Callable[[Callable[[str], None]], list[str]]] = {
        "cert-manager": partial(stack.install_cert_manager, here, downloads),
        "KServe": partial(stack.install_kserve, here, downloads),
        "Kubeflow Pipelines": partial(stack.install_pipelines, here, downloads),
        "newsrec": partial(newsroom.install, here, manifests, versions),
    }
    for name, install in parts.items():
        with step(console, name, SLOW) as say:
            named = install(say)
        for image in named:
            console.print(f"    {image}", soft_wrap=True)
    served = newsroom.served_uri(here)
    console.print(REACH.format(kubectl=f"kubectl --context kind-{here.name}"), markup=False, soft_wrap=True)
    console.print(ASK, markup=False, soft_wrap=True)
    console.print(f"The predictor serves {served}; it waits there until a run publishes a release.", soft_wrap=True)
    console.print("Next: make kind-demo. When done: make kind-down, which deletes all of it.", soft_wrap=True)


def ensure_cluster(here: Cluster, versions: Versions, say: Callable[[str], None]) -> None:
    """Create the cluster, or see that the one that is there is whole. Raises Failed."""
    if here.name not in run([here.kind, "get", "clusters"]).split():
        say("creating it; the node's image has about 1 GB")
        create(here, host.node_image(versions))
        return
    run([here.kind, "export", "kubeconfig", f"--name={here.name}"])
    try:
        here.kubectl("wait", "--for=condition=Ready", "node", "--all", "--timeout=120s")
        here.kubectl("get", "storageclass", "standard")
    except Failed as error:
        advice = f"docker start {here.name}-control-plane, if Docker was restarted; else make kind-down, and begin anew"
        raise Failed(f"it is there, but not whole\n{error}", advice) from None


def create(here: Cluster, image: str) -> None:
    """Create the cluster; half a cluster is deleted, after Ctrl-C too."""
    with contextlib.ExitStack() as undo:
        undo.callback(down, here)
        run([here.kind, "create", "cluster", f"--config={CONFIG}", f"--image={image}", "--wait=300s"])
        undo.pop_all()


def down(here: Cluster) -> None:
    """Delete the cluster of this name, and no other."""
    run([here.kind, "delete", "cluster", f"--name={here.name}"])
