"""newsrec on a Kubernetes cluster on this machine.

make kind-up      the cluster, cert-manager, KServe, Kubeflow Pipelines and newsrec; again, it changes nothing
make kind-demo    the training pipeline on it, then a reader who asks, reads and asks again
make kind-down    delete it
make kind-pin     record checksums and digests in manifests/kind/versions.toml

KIND_DOWNLOADS=FOLDER   take files from there, none from the network
"""

import argparse
import os
import signal
import sys
from pathlib import Path

from rich.console import Console

from newsrec.cli import guarded
from scripts.kind_cluster import host, pin, up
from scripts.kind_cluster.commands import StepFailed, cluster, step
from scripts.kind_cluster.downloads import Downloads
from scripts.kind_cluster.versions import KUSTOMIZATION, ROOT, VERSIONS, InvalidVersions, read

BUILD = ROOT / "build" / "kind"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["up", "demo", "down", "pin"])
    command = parser.parse_args().command
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    console = Console(highlight=False)
    source = os.environ.get("KIND_DOWNLOADS")
    downloads = Downloads(read(), BUILD, Path(source) if source else None)
    try:
        run(command, downloads, console)
    except StepFailed as error:
        again = "" if command == "pin" else f"\nThen make kind-{command} again; what is done stays done."
        sys.exit(f"kind-{command}: {error}{again}")


def run(command: str, downloads: Downloads, console: Console) -> None:
    if command == "up":
        up.up(downloads, console)
    elif command == "demo":
        from scripts.kind_cluster import demo  # imports torch and Kubeflow's client

        with step(console, "kind") as say:
            here = cluster(host.kind(downloads, say))
        demo.demo(here, console)
    elif command == "down":
        with step(console, "Deleting the cluster") as say:
            up.down(cluster(host.kind(downloads, say)))
    else:
        with step(console, "Checksums and digests", "nothing was changed; run it on a host with a network") as say:
            lines = pin.pin(VERSIONS, KUSTOMIZATION, say)
        for line in lines:
            console.print(line, soft_wrap=True)


if __name__ == "__main__":
    guarded("kind", main, InvalidVersions)
