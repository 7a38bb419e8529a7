"""What is served: immutable versions of artefacts and one pointer that moves by compare-and-swap.

    ROOT/versions/VERSION/   an artefact, never changed
    ROOT/CURRENT             JSON: the version that is served, the one before it, the run, how far its events went
    ROOT/runs.jsonl          how each run ended

A run says which release it was compared with; when another one is current by then, or one from newer events, publishing
is refused and nothing changes.
"""

import fcntl
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from newsrec import artifact
from newsrec.artifact import InvalidArtifact
from newsrec.files import whole_directory, write_whole


class Conflict(RuntimeError):
    """Publishing or rolling back would overwrite what the caller does not know."""


@dataclass(frozen=True)
class Release:
    """The served version. ``data_until``: microseconds, the newest event that its policy was trained on."""

    root: Path
    version: str
    previous: str | None
    run: str
    data_until: int

    @property
    def directory(self) -> Path:
        return self.root / "versions" / self.version


def current(root: str | Path) -> Release | None:
    """The release that is served, None where nothing was published yet. Raises InvalidArtifact for a broken pointer."""
    pointer = Path(root) / "CURRENT"
    if not pointer.exists():
        return None
    try:
        return Release(Path(root), **json.loads(pointer.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise InvalidArtifact(f"{pointer} is no release pointer: {error}") from None


def publish_artifact(root: str | Path, directory: str | Path, incumbent: str, run: str) -> str:
    """Serve the artefact in ``directory`` if ``incumbent`` (a version, "" for none) is still served; its version.

    Publishing what is already served changes nothing. Raises Conflict and InvalidArtifact.
    """
    root = Path(root)
    new = artifact.load(directory)
    data_until = int(new.provenance.get("data_until", 0))
    with _locked(root):
        served = current(root)
        if served is not None and served.version == new.version:
            return new.version
        found = served.version if served else ""
        if found != incumbent:
            expected = f"{incumbent or 'nothing'}, with which {new.version} was compared"
            raise Conflict(f"{found or 'nothing'} is served by now, expected {expected}; run the pipeline again")
        if served is not None and data_until < served.data_until:
            raise Conflict(
                f"{new.version} knows events up to {data_until}, the served {found} up to {served.data_until}"
            )
        _keep(root, new.version, Path(directory))
        _point(root, Release(root, new.version, served.version if served else None, run, data_until))
    return new.version


def roll_back(root: str | Path) -> Release:
    """Serve the version before the current one again, and return it. Raises Conflict where there is none."""
    root = Path(root)
    with _locked(root):
        served = current(root)
        if served is None or served.previous is None:
            raise Conflict(f"{root} has no release before the current one to go back to")
        manifest = artifact.read_manifest(root / "versions" / served.previous)
        data_until = int(manifest["provenance"].get("data_until", 0))
        release = Release(root, served.previous, None, f"roll-back of {served.version}", data_until)
        _point(root, release)
    return release


def record_run(root: str | Path, run: str, state: str, error: str) -> None:
    """Append how ``run`` ended to the ledger of runs, with what is served after it."""
    root = Path(root)
    with _locked(root):
        served = current(root)
        line = {"run": run, "state": state, "error": error, "served": served.version if served else None}
        with (root / "runs.jsonl").open("a", encoding="utf-8") as ledger:
            ledger.write(json.dumps(line) + "\n")


def _keep(root: Path, version: str, directory: Path) -> None:
    target = root / "versions" / version
    if not target.exists():
        with whole_directory(target) as partial:
            shutil.copytree(directory, partial, dirs_exist_ok=True)


def _point(root: Path, release: Release) -> None:
    fields = {name: value for name, value in asdict(release).items() if name != "root"}
    write_whole(root / "CURRENT", json.dumps(fields, indent=2))


@contextmanager
def _locked(root: Path) -> Iterator[None]:
    root.mkdir(parents=True, exist_ok=True)
    with (root / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
