"""How every container of these tests runs, as the pods in the manifests do: no rights, nothing to write but /tmp."""

import os
import uuid
from pathlib import Path
from typing import Any

RUN = uuid.uuid4().hex[:8]
LABELS = {"newsrec.test-run": RUN}
"""On everything that these tests start."""
HARDENED: dict[str, Any] = {
    "read_only": True,
    "tmpfs": {"/tmp": "size=64m"},
    "cap_drop": ["ALL"],
    "security_opt": ["no-new-privileges"],
    "labels": LABELS,
}
IMAGE_USER = 10001


def writable(folder: Path) -> str:
    """The user for a container that writes to ``folder``: the image's own, or this process' where it cannot give away.

    As the fsGroup of a pod gives a volume to the pod's user.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if os.getuid() == 0:
        for path in (folder, *folder.rglob("*")):
            os.chown(path, IMAGE_USER, IMAGE_USER)
        return f"{IMAGE_USER}:{IMAGE_USER}"
    return f"{os.getuid()}:{os.getgid()}"
