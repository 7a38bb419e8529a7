"""What is served: immutable versions of artefacts and one pointer that moves by compare-and-swap.

    ROOT/versions/VERSION/       an artefact, or a mixture of two, never changed
    ROOT/published/VERSION.json  the release as it was when that version was published last
    ROOT/CURRENT                 the release that is served: version, the one before it, run, how far its events went
    ROOT/runs.jsonl              how each run ended, under the name that its release has

A run says which release it was compared with; when another one is current by then, or one from newer events, publishing
is refused and nothing changes. The pointer moves last and in one step, so whatever is interrupted leaves the release
that was served before.
"""

import fcntl
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from newsrec import artifact, mixture
from newsrec.artifact import Artifact, InvalidArtifact
from newsrec.files import whole_directory, write_whole
from newsrec.mixture import ARMS, Mixture


class Conflict(RuntimeError):
    """Publishing or rolling back would overwrite what the caller does not know."""


@dataclass(frozen=True)
class Release:
    """The served version."""

    root: Path
    version: str
    previous: str | None
    """What was served before it, and is again after a roll-back."""
    run: str
    """That published it: REQUEST/JOB, the digest of what was asked for and which of its runs it was."""
    data_until: int
    """Microseconds, the newest event that its policy knows; of a mixture the candidate."""
    rolled_back: str | None = None
    """The version that was withdrawn in favour of this one."""

    @property
    def directory(self) -> Path:
        return self.root / "versions" / self.version

    @property
    def control(self) -> Path:
        """The artefact that most readers are used to, with which the next policy is compared: a mixture's incumbent."""
        return mixture.control(self.directory)

    @property
    def compared(self) -> tuple[str, str]:
        """Versions of the policies that are new and old in this release, as the log has them; "" for none.

        In a mixture they serve side by side. Raises InvalidArtifact.
        """
        if mixture.is_mixture(self.directory):
            arms = mixture.read_manifest(self.directory)["arms"]
            return arms[mixture.CANDIDATE], arms[mixture.INCUMBENT]
        before = self.root / "versions" / (self.previous or "")
        if not self.previous or not mixture.is_mixture(before):
            return self.version, self.previous or ""
        arms = mixture.read_manifest(before)["arms"]
        return self.version, next((arms[arm] for arm in ARMS if arms[arm] != self.version), "")


def current(root: str | Path) -> Release | None:
    """The release that is served, None where nothing was published yet. Raises InvalidArtifact for a broken pointer."""
    pointer = Path(root) / "CURRENT"
    return _read(Path(root), pointer) if pointer.exists() else None


def load(directory: str | Path) -> Artifact | Mixture:
    """What can be served from ``directory``: an artefact or a mixture. Raises InvalidArtifact."""
    return mixture.load(directory) if mixture.is_mixture(directory) else artifact.load(directory)


def publish_artifact(root: str | Path, directory: str | Path, incumbent: str, run: str) -> str:
    """Serve what is in ``directory``, an artefact or a mixture, if ``incumbent`` is still served; its version.

    ``incumbent`` is the version of a release, of an artefact or a mixture; "" for none.

    Publishing what is already served changes nothing; what was rolled back just now is refused, since a repeated run
    would bring it back. Raises Conflict and InvalidArtifact.
    """
    root = Path(root)
    new = load(directory)
    newest = new.candidate if isinstance(new, Mixture) else new
    data_until = int(newest.provenance.get("data_until", 0))
    with locked(root):
        served = current(root)
        if served is not None and served.version == new.version:
            return new.version
        found = served.version if served else ""
        if found != incumbent:
            expected = f"{incumbent or 'nothing'}, with which {new.version} was compared"
            raise Conflict(f"{found or 'nothing'} is served by now, expected {expected}; run the pipeline again")
        if served is not None and served.rolled_back == new.version:
            raise Conflict(f"{new.version} was rolled back to {found}; publish a policy that was trained anew")
        if served is not None and data_until < served.data_until:
            raise Conflict(
                f"{new.version} knows events up to {data_until}, the served {found} up to {served.data_until}"
            )
        _keep(root, new.version, Path(directory))
        release = Release(root, new.version, served.version if served else None, run, data_until)
        _write(release, root / "published" / f"{new.version}.json")
        _write(release, root / "CURRENT")
    return new.version


def roll_back(root: str | Path, expected: str = "") -> Release:
    """Serve the release before the current one again, and return it. Raises Conflict where there is none.

    With ``expected`` only while that version is served, and nothing changes if it was rolled back just now: repeating
    is safe. Without, rolling back once more goes one release further back.
    """
    root = Path(root)
    with locked(root):
        served = current(root)
        if served is not None and expected and served.rolled_back == expected:
            return served
        found = served.version if served else "nothing"
        if expected and found != expected:
            raise Conflict(f"{found} is served by now, expected {expected}; name the served version to roll it back")
        if served is None or served.previous is None:
            raise Conflict(f"{root} has no release before the current one to go back to")
        before = _read(root, root / "published" / f"{served.previous}.json")
        release = replace(before, rolled_back=served.version)
        _write(release, root / "CURRENT")
    return release


def record_run(root: str | Path, run: str, state: str, error: str) -> None:
    """Append how ``run`` ended to the ledger of runs, with what is served after it."""
    root = Path(root)
    with locked(root):
        served = current(root)
        line = {"run": run, "state": state, "error": error, "served": served.version if served else None}
        with (root / "runs.jsonl").open("a", encoding="utf-8") as ledger:
            ledger.write(json.dumps(line) + "\n")


def _keep(root: Path, version: str, directory: Path) -> None:
    target = root / "versions" / version
    if not target.exists():
        with whole_directory(target) as partial:
            shutil.copytree(directory, partial, dirs_exist_ok=True)


def named(text: str, source: str) -> str:
    """The version in the ``text`` of a CURRENT. Raises InvalidArtifact, which says that it is from ``source``."""
    try:
        version = Release(Path(), **json.loads(text)).version
        if Path(version).name != version:
            raise ValueError(f"{version!r} is no name of a folder")
    except (ValueError, TypeError) as error:
        raise InvalidArtifact(f"{source} holds no release: {error}") from None
    return version


def _read(root: Path, path: Path) -> Release:
    try:
        return Release(root, **json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise InvalidArtifact(f"{path} holds no release: {error}") from None


def _write(release: Release, path: Path) -> None:
    fields = {name: value for name, value in asdict(release).items() if name != "root"}
    write_whole(path, json.dumps(fields, indent=2))


@contextmanager
def locked(root: Path) -> Iterator[None]:
    """Nobody else publishes, rolls back or deploys meanwhile. Taken twice by the same caller it waits for ever."""
    root.mkdir(parents=True, exist_ok=True)
    with (root / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
