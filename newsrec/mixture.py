"""Artefacts served side by side: a share of the readers has the candidate, the others keep the incumbent.

    MIXTURE/mixture.json   format, version, experiment, salt, share of the candidate, arm -> version of its artefact
    MIXTURE/incumbent/     the artefact of the arm ``incumbent``
    MIXTURE/candidate/     the artefact of the arm ``candidate``
    MIXTURE/ARM/           the artefact of each further arm, if any; ``mixture.json`` has their shares as well

A reader has one arm, on every visit and from every server (``newsrec.assignment``). While experiment and salt stay, a
greater share moves readers into the candidate and nobody out of it. Where no salt is given it is the experiment's name:
then the next mixture of the same experiment cannot miss it, whoever writes it, and nobody changes arms by accident. The
hash holds the name as well, so experiments are independent all the same. A salt of its own hides the arms from whoever
knows a reader's id.
"""

import json
import math
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from newsrec import artifact, assignment
from newsrec.artifact import MIXTURE_FILE, Artifact, InvalidArtifact
from newsrec.config import InvalidConfig
from newsrec.files import whole_directory, write_whole

FORMAT = 1
FORMAT_WITH_FURTHER = 2
"""With further arms: whoever knows two alone must refuse it, not serve it."""
INCUMBENT: Literal["incumbent"] = "incumbent"
CANDIDATE: Literal["candidate"] = "candidate"
ARMS = (INCUMBENT, CANDIDATE)
"""Those of every mixture."""
_FOLDER = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")


class Further(NamedTuple):
    """An arm beside the two."""

    artifact: Artifact
    share: float


class Mixture(NamedTuple):
    """The policies, and who gets which."""

    version: str
    """Digest of everything below, the artefacts by their versions."""
    incumbent: Artifact
    candidate: Artifact
    share: float
    """Of the readers who have the candidate, more than 0; all shares but the incumbent's are less than 1 in sum."""
    experiment: str
    """Its name in the log."""
    salt: str
    further: Mapping[str, Further] = MappingProxyType({})
    """By the name of the arm."""

    @property
    def arms(self) -> tuple[str, ...]:
        """The incumbent's first."""
        return (*ARMS, *self.further)

    @property
    def shares(self) -> dict[str, float]:
        """By arm, in sum 1."""
        others = {CANDIDATE: self.share} | {arm: further.share for arm, further in self.further.items()}
        return {INCUMBENT: 1.0 - math.fsum(others.values())} | others

    @property
    def feature_hash(self) -> str:
        """Of all artefacts."""
        return self.incumbent.feature_hash

    def arm(self, reader_id: str) -> str:
        """The reader's; ``reader_id`` is the one that is logged, so that whoever reads the log can repeat this."""
        return assignment.arm(reader_id, self.experiment, self.shares, self.salt)

    def artifact(self, arm: str) -> Artifact:
        if arm in self.further:
            return self.further[arm].artifact
        return {INCUMBENT: self.incumbent, CANDIDATE: self.candidate}[arm]


def write(
    directory: str | Path,
    incumbent: str | Path,
    candidate: str | Path,
    share: float,
    experiment: str,
    salt: str = "",
    further: Mapping[str, tuple[str | Path, float]] = MappingProxyType({}),
) -> str:
    """Write the mixture of two artefacts as ``directory``, whole or not at all; its version.

    ``share`` of the readers get ``candidate``; ``further`` has by the name of each further arm its artefact and its
    share. The same inputs give the same version. Raises InvalidConfig, and
    InvalidArtifact where one of the two is no artefact or they were trained on different features.
    """
    share = float(share)
    shares = {arm: float(wanted) for arm, (_, wanted) in further.items()}
    if wrong := _wrong(share, shares, experiment, salt):
        raise InvalidConfig(f"a mixture's {wrong}")
    places: dict[str, Path] = {INCUMBENT: Path(incumbent), CANDIDATE: Path(candidate)}
    places |= {arm: Path(place) for arm, (place, _) in further.items()}
    loaded = {arm: artifact.load(place) for arm, place in places.items()}
    for arm, found in loaded.items():
        _same_features(loaded[INCUMBENT], found, f"{places[arm]} and {incumbent}")
    manifest = {
        "format": FORMAT_WITH_FURTHER if further else FORMAT,
        "experiment": experiment,
        "salt": salt or experiment,
        "share": share,
        "arms": {arm: found.version for arm, found in loaded.items()},
    }
    if further:
        manifest["further"] = shares
    version = artifact.content_version(manifest)
    with whole_directory(directory) as partial:
        for arm, place in places.items():
            shutil.copytree(place, partial / arm)
        write_whole(partial / MIXTURE_FILE, json.dumps({"version": version, **manifest}, indent=2))
    return version


def is_mixture(directory: str | Path) -> bool:
    """Whether ``directory`` says that it is one; it may be broken all the same."""
    return (Path(directory) / MIXTURE_FILE).exists()


def load(directory: str | Path) -> Mixture:
    """The mixture in ``directory``. Raises InvalidArtifact."""
    directory = Path(directory)
    manifest = read_manifest(directory)
    loaded = {arm: artifact.load(directory / arm) for arm in manifest["arms"]}
    for arm, found in loaded.items():
        expected = manifest["arms"][arm]
        if found.version != expected:
            put = f"{directory / arm} holds {found.version}, but {MIXTURE_FILE} says {expected}"
            raise InvalidArtifact(f"{put}; write the mixture again instead of changing its parts")
        _same_features(loaded[INCUMBENT], found, f"the {arm} and the incumbent of {directory}")
    return Mixture(
        manifest["version"],
        loaded[INCUMBENT],
        loaded[CANDIDATE],
        manifest["share"],
        manifest["experiment"],
        manifest["salt"],
        {arm: Further(loaded[arm], share) for arm, share in manifest.get("further", {}).items()},
    )


def read_manifest(directory: str | Path) -> dict[str, Any]:
    """What ``mixture.json`` says, checked for form. Raises InvalidArtifact."""
    path = Path(directory) / MIXTURE_FILE
    wanted = {"version": str, "experiment": str, "salt": str, "share": float, "arms": dict}
    manifest = artifact.read_form(path, "a mixture", FORMAT, wanted, newest=FORMAT_WITH_FURTHER)
    further = manifest.get("further", {})
    if not isinstance(further, dict) or not all(isinstance(share, float) for share in further.values()):
        raise InvalidArtifact(f"{path}: further is {further!r}, expected a share by arm")
    if bool(further) != (manifest["format"] == FORMAT_WITH_FURTHER):
        raise InvalidArtifact(f"{path}: format {manifest['format']} has {len(further)} further arms")
    if set(manifest["arms"]) != {*ARMS, *further}:
        expected = " and ".join((*ARMS, *further))
        raise InvalidArtifact(f"{path}: arms are {sorted(manifest['arms'])}, expected {expected}")
    if wrong := _wrong(manifest["share"], further, manifest["experiment"], manifest["salt"]):
        raise InvalidArtifact(f"{path}: {wrong}")
    if manifest["version"] != artifact.content_version(manifest):
        found = f"version {manifest['version']}, but its content has {artifact.content_version(manifest)}"
        raise InvalidArtifact(f"{path} was changed: it says {found}; write the mixture again instead of editing it")
    return manifest


def control(directory: str | Path) -> Path:
    """Of what is in ``directory`` the artefact that most readers had before: of a mixture the incumbent's folder."""
    return Path(directory) / INCUMBENT if is_mixture(directory) else Path(directory)


def _wrong(share: float, further: Mapping[str, float], experiment: str, salt: str) -> str:
    """What cannot be served, "" where everything can."""
    if not 0.0 < share < 1.0:
        return f"share is {share}, expected more than 0 and less than 1: serve one artefact alone instead"
    for arm, of_arm in further.items():
        if arm in ARMS or not _FOLDER.fullmatch(arm):
            return f"further arm is {arm!r}, expected a name of a-z, 0-9, _ and - that is none of {' and '.join(ARMS)}"
        if not 0.0 < of_arm < 1.0:
            return f"share of {arm} is {of_arm}, expected more than 0 and less than 1"
    if further and not math.fsum((share, *further.values())) < 1.0:
        return f"shares are {share}, {', '.join(map(str, further.values()))}, expected less than 1 in sum"
    for name, text in (("experiment", experiment), ("salt", salt or experiment)):
        if not text.strip() or "\0" in text:
            return f"{name} is {text!r}, expected a name"
    return ""


def _same_features(incumbent: Artifact, candidate: Artifact, who: str) -> None:
    """Raise InvalidArtifact where one feature store cannot serve both."""
    if incumbent.feature_hash != candidate.feature_hash:
        found = f"{who} were trained on features {candidate.feature_hash} and {incumbent.feature_hash}"
        raise InvalidArtifact(f"{found}, expected the same: train the older one again")
