"""A stand-in for kind, docker or kubectl, by the name that it is called by.

It answers from a folder that STATE names and writes there what a cluster would know; it refuses what a cluster would
refuse: an object in a namespace that is not there, a kind that no definition made, a context of another cluster.
``fail`` in that folder is a regular expression: the first command that it is found in fails, and the file is gone.
"""

import base64
import json
import os
import re
import shutil
import socket
import sys
import threading
from pathlib import Path

STATE = Path(os.environ["STATE"])
CLUSTERS, IMAGES, OBJECTS = STATE / "clusters.json", STATE / "images.json", STATE / "objects.json"
BUILT_IN = re.compile(r"v1|(apps|batch|policy)/v1|[\w.]+\.k8s\.io/v1")
CLUSTER_WIDE = {"Namespace", "CustomResourceDefinition", "ClusterStorageContainer", "StorageClass", "Node"}


def main() -> None:
    tool, arguments = Path(sys.argv[0]).name, sys.argv[1:]
    reads = "--filename=-" in arguments
    stdin = sys.stdin.read() if reads else ""
    with (STATE / "calls.jsonl").open("a") as file:
        file.write(json.dumps([tool, *arguments]) + "\n")
    if (STATE / "fail").exists() and re.search((STATE / "fail").read_text(), f"{tool} {' '.join(arguments)}\n{stdin}"):
        (STATE / "fail").unlink()
        sys.exit("Error: the stand-in was told to fail here")
    {"kind": kind, "docker": docker, "kubectl": kubectl}[tool](arguments, stdin)


def documents(text: str) -> list[dict]:
    import yaml  # most commands answer sooner without

    return [thing for thing in yaml.load_all(text, yaml.CSafeLoader) if thing]


def option(arguments: list[str], name: str) -> str:
    return next((a.partition("=")[2] for a in arguments if a.startswith(f"--{name}=")), "")


def load(path: Path, default):
    return json.loads(path.read_text()) if path.exists() else default


def kind(arguments: list[str], stdin: str) -> None:
    clusters = load(CLUSTERS, [])
    match arguments:
        case ["version"]:
            print(f"kind v{load(STATE / 'kind.json', '0.30.0')} go1.24.6 linux/amd64")
        case ["get", "clusters"]:
            print("\n".join(clusters))
        case ["create", "cluster", *_]:
            name = documents(Path(option(arguments, "config")).read_text())[0]["name"]
            CLUSTERS.write_text(json.dumps([*clusters, name]))
            (STATE / "node.json").write_text(json.dumps(option(arguments, "image")))
            put([{"kind": "StorageClass", "metadata": {"name": "standard"}}])
            put([{"kind": "Namespace", "metadata": {"name": "default"}}])
        case ["delete", "cluster", *_]:
            name = option(arguments, "name")
            CLUSTERS.write_text(json.dumps([other for other in clusters if other != name]))
            if name == "newsrec":
                OBJECTS.unlink(missing_ok=True)
        case ["load", "docker-image", *images]:
            assert option(arguments, "name") in clusters
            known = load(IMAGES, {})
            missing = [image for image in images if not image.startswith("--") and image not in known]
            assert not missing, missing
        case ["export", "kubeconfig", *_]:
            assert option(arguments, "name") in clusters


def docker(arguments: list[str], stdin: str) -> None:
    match arguments:
        case ["info", *_]:
            print(json.dumps({"NCPU": 8, "MemTotal": 16 << 30}))
        case ["image", "ls", *_]:
            print("\n".join(load(IMAGES, {})))
        case ["image", "inspect", *_, name]:
            print(json.dumps(load(IMAGES, {})[name]))


def kubectl(arguments: list[str], stdin: str) -> None:
    if arguments[0] == "kustomize":
        path = os.environ["PATH"].partition(os.pathsep)[2]  # without this stand-in
        real = shutil.which("kubectl", path=path)
        os.execv(real, [real, *arguments])
    flag, context, *arguments = arguments
    if flag != "--context" or context.removeprefix("kind-") not in load(CLUSTERS, []):
        sys.exit(f"error: context {context!r} does not exist")
    namespace = "default"
    if arguments[0] == "-n":
        namespace, arguments = arguments[1], arguments[2:]
    match arguments:
        case ["apply", *_]:
            put(documents(stdin))
        case ["create", *_]:
            thing = json.loads(stdin)
            assert key(thing) not in load(OBJECTS, {}), "AlreadyExists"
            put([thing])
        case ["delete", "job", name, "--ignore-not-found"]:
            objects = load(OBJECTS, {})
            objects.pop(f"{namespace}/Job/{name}", None)
            OBJECTS.write_text(json.dumps(objects))
        case ["get", *what]:
            get(namespace, [word for word in what if not word.startswith("--")])
        case ["port-forward", service, ports]:
            forward(int(ports.partition(":")[0]), load(STATE / "ports.json", {}).get(service))
        case ["exec", *_, "python3", "-c", code]:
            code = code.replace("/mnt/models", str(STATE / "models"))
            os.execv(sys.executable, [sys.executable, "-c", code])
        case ["patch", "clusterstoragecontainer", "default", *_]:
            objects = load(OBJECTS, {})
            (patch,) = documents(Path(option(arguments, "patch-file")).read_text())
            objects["/ClusterStorageContainer/default"]["spec"]["container"].update(patch["spec"]["container"])
            OBJECTS.write_text(json.dumps(objects))


def forward(local: int, remote: int | None) -> None:
    if remote is None:
        sys.exit("error: unable to forward port because pod is not running")
    with socket.create_server(("127.0.0.1", local)) as server:
        while True:
            here, _ = server.accept()
            there = socket.create_connection(("127.0.0.1", remote))
            for ends in ((here, there), (there, here)):
                threading.Thread(target=pump, args=ends, daemon=True).start()


def pump(source: socket.socket, sink: socket.socket) -> None:
    while data := source.recv(1 << 16):
        sink.sendall(data)
    sink.shutdown(socket.SHUT_WR)


def key(thing: dict) -> str:
    namespace = "" if thing["kind"] in CLUSTER_WIDE else thing["metadata"].get("namespace", "")
    return f"{namespace}/{thing['kind']}/{thing['metadata']['name']}"


def put(things: list[dict]) -> None:
    objects = load(OBJECTS, {})
    for thing in things:
        namespace = key(thing).partition("/")[0]
        if namespace and f"/Namespace/{namespace}" not in objects:
            sys.exit(f'Error from server (NotFound): namespaces "{namespace}" not found')
        kinds = {o["spec"]["names"]["kind"] for name, o in objects.items() if "/CustomResourceDefinition/" in name}
        if not BUILT_IN.fullmatch(thing.get("apiVersion", "v1")) and thing["kind"] not in kinds:
            sys.exit(f'error: no matches for kind "{thing["kind"]}" in version "{thing["apiVersion"]}"')
        if thing["kind"] in ("Deployment", "StatefulSet"):
            thing["metadata"]["generation"] = 1
            replicas = thing["spec"].get("replicas", 1)
            thing["status"] = {"observedGeneration": 1, "updatedReplicas": replicas, "availableReplicas": replicas}
        if thing["kind"] == "Job" and objects.get(key(thing), thing)["spec"] != thing["spec"]:
            sys.exit(f'The Job "{thing["metadata"]["name"]}" is invalid: spec.template: field is immutable')
        if thing["kind"] == "Secret":
            text = thing.pop("stringData", {}).items()
            thing["data"] = {k: base64.b64encode(v.encode()).decode() for k, v in text} | thing.get("data", {})
        if thing["kind"] == "InferenceService":
            uri = thing["spec"]["predictor"]["containers"][0]["env"][0]["value"]
            with (STATE / "served.txt").open("a") as file:
                file.write(uri + "\n")
        objects[key(thing)] = thing
        OBJECTS.write_text(json.dumps(objects))


def get(namespace: str, what: list[str]) -> None:
    objects = load(OBJECTS, {})
    if len(what) == 1:
        kinds = [kind.removesuffix("s") for kind in what[0].split(",")]
        wanted = [o for name, o in objects.items() if name.split("/")[0] == namespace and o["kind"].lower() in kinds]
        print(json.dumps({"items": wanted}))
        return
    kind, name = what
    found = [o for o in objects.values() if (o["kind"].lower(), o["metadata"]["name"]) == (kind, name)]
    found = [o for o in found if o["kind"] in CLUSTER_WIDE or o["metadata"].get("namespace") == namespace]
    if found:
        print(json.dumps(found[0]))
    elif kind == "storageclass":
        sys.exit(f'Error from server (NotFound): storageclasses "{name}" not found')


main()
