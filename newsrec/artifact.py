"""A trained policy as one directory: ``policy.json``, ``weights.safetensors`` and ``articles.parquet``.

What tests, the simulator, judging and the predictor load. Scores before saving equal scores after loading. The
directory appears whole, its parts are checked by digest, and nothing in it is ever unpickled.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import safetensors
import safetensors.torch
from torch import nn

from newsrec import config as configs
from newsrec.catalogue import Catalogue
from newsrec.config import InvalidConfig
from newsrec.decisions import Decisions
from newsrec.encoders.one_reader import OneReader, one_reader
from newsrec.events import InvalidEvents, validate
from newsrec.features import ARTICLE_FEATURES, POPULARITY_FEATURES, READER_FEATURES, feature_hash
from newsrec.files import whole_directory, write_whole
from newsrec.registry import REGISTRY
from newsrec.transitions import CONTEXT_FEATURES

FORMAT = 1
_MANIFEST, _WEIGHTS, _ARTICLES = "policy.json", "weights.safetensors", "articles.parquet"
MIXTURE_FILE = "mixture.json"
"""In a folder that holds two artefacts instead of one (``newsrec.mixture``)."""
_INPUTS = [*CONTEXT_FEATURES, *POPULARITY_FEATURES]
"""What the columns of context and popularity mean to the weights, in this order."""


class InvalidArtifact(ValueError):
    """A directory that is no usable artefact; the message says what was found and what was expected."""


class Artifact(NamedTuple):
    """A policy with everything that it needs to score."""

    name: str
    """In the registry."""
    policy: nn.Module
    catalogue: Catalogue
    """The articles of its log; those up to ``trained`` it knows by index."""
    use_time: bool
    """Whether it was trained on features that need a clock."""
    provenance: dict[str, Any]
    """Where it comes from: seed, commit, event window in microseconds, configuration of the run."""
    feature_hash: str
    version: str
    """Digest of everything above."""
    one_reader: OneReader | None = None
    """The policy's history tower for one reader at a time, where it has one of that form; weights as at ``load``."""

    def sees(self, decisions: Decisions) -> Decisions:
        """``decisions`` through the catalogue of its own training, with or without time as it was trained."""
        return replace(decisions.numbered_by(self.catalogue), use_time=self.use_time)


def create(
    name: str, policy: nn.Module, catalogue: Catalogue, use_time: bool = True, provenance: dict[str, Any] | None = None
) -> Artifact:
    """The artefact of a policy trained just now; its version follows from its content alone."""
    provenance = provenance or {}
    tower = one_reader(policy.eval())
    made = Artifact(name, policy, catalogue, use_time, provenance, feature_hash(), version="", one_reader=tower)
    return made._replace(version=content_version(_manifest(made, _weights(policy), _articles(catalogue))))


def save(artifact: Artifact, directory: str | Path) -> Path:
    """Write ``artifact`` as ``directory``, whole or not at all, and return it. The version is that of the content."""
    weights, articles = _weights(artifact.policy), _articles(artifact.catalogue)
    manifest = _manifest(artifact, weights, articles)
    with whole_directory(directory) as partial:
        (partial / _WEIGHTS).write_bytes(weights)
        (partial / _ARTICLES).write_bytes(articles)
        write_whole(partial / _MANIFEST, json.dumps({"version": content_version(manifest), **manifest}, indent=2))
    return Path(directory)


def _manifest(artifact: Artifact, weights: bytes, articles: bytes) -> dict[str, Any]:
    """Everything that makes the artefact what it is, its large parts by digest."""
    return {
        "format": FORMAT,
        "name": artifact.name,
        "config": configs.to_mapping(artifact.policy.config),
        "trained_articles": artifact.catalogue.trained,
        "use_time": artifact.use_time,
        "features": [feature.name for feature in (*READER_FEATURES, *ARTICLE_FEATURES)],
        "feature_hash": artifact.feature_hash,
        "inputs": _INPUTS,
        "digests": {_WEIGHTS: _digest(weights), _ARTICLES: _digest(articles)},
        "provenance": artifact.provenance,
    }


def content_version(manifest: Mapping[str, Any]) -> str:
    """Digest of all that ``manifest`` says beside its own version."""
    return configs.digest({key: value for key, value in manifest.items() if key != "version"})


def load(directory: str | Path) -> Artifact:
    """The artefact in ``directory``. Raises InvalidArtifact."""
    directory = Path(directory)
    manifest = read_manifest(directory)
    parts = {name: _read_part(directory / name, expected) for name, expected in manifest["digests"].items()}
    try:
        articles = validate(pq.read_table(pa.BufferReader(parts[_ARTICLES])), "articles")
        catalogue = Catalogue(articles, manifest["trained_articles"])
        entry = REGISTRY[manifest["name"]]
        policy = entry.policy(configs.from_mapping(entry.config, manifest["config"]), catalogue.trained)
        policy.load_state_dict(safetensors.torch.load(parts[_WEIGHTS]))
    except (InvalidConfig, InvalidEvents, pa.ArrowInvalid, safetensors.SafetensorError, RuntimeError) as error:
        raise InvalidArtifact(f"{directory} does not fit this code: {' '.join(str(error).split())}") from None
    return Artifact(
        manifest["name"],
        policy.eval(),
        catalogue,
        manifest["use_time"],
        manifest["provenance"],
        manifest["feature_hash"],
        manifest["version"],
        one_reader(policy),
    )


def read_manifest(directory: str | Path) -> dict[str, Any]:
    """What ``policy.json`` says, checked for form. Raises InvalidArtifact."""
    path = Path(directory) / _MANIFEST
    if path.with_name(MIXTURE_FILE).exists():
        raise InvalidArtifact(f"{directory} is a mixture; expected one artefact: name its incumbent or its candidate")
    wanted = {"version": str, "name": str, "config": dict, "trained_articles": int, "use_time": bool}
    wanted |= {"feature_hash": str, "inputs": list, "provenance": dict, "digests": dict}
    manifest = read_form(path, "an artefact", FORMAT, wanted)
    if manifest["name"] not in REGISTRY:
        raise InvalidArtifact(f"{path}: policy {manifest['name']!r} is unknown, expected one of {', '.join(REGISTRY)}")
    if set(manifest["digests"]) != {_WEIGHTS, _ARTICLES}:
        raise InvalidArtifact(f"{path}: digests name {sorted(manifest['digests'])}, expected {_WEIGHTS}, {_ARTICLES}")
    if manifest["inputs"] != _INPUTS:
        raise InvalidArtifact(f"{path}: trained on inputs {manifest['inputs']}, this code has {_INPUTS}; train again")
    if manifest["version"] != content_version(manifest):
        found = f"version {manifest['version']}, but its content has {content_version(manifest)}"
        raise InvalidArtifact(f"{path} was changed: it says {found}; train again instead of editing an artefact")
    return manifest


def read_form(path: Path, what: str, format_: int, wanted: Mapping[str, type], newest: int = 0) -> dict[str, Any]:
    """The JSON object of ``format_`` in ``path``, the manifest of ``what``, whose values have the types ``wanted``.

    All formats up to ``newest`` are read where that is greater. Raises InvalidArtifact.
    """
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidArtifact(f"{path} cannot be read ({error.strerror}); expected the folder of {what}") from None
    except ValueError as error:
        raise InvalidArtifact(f"{path} is no JSON: {error}") from None
    known = range(format_, max(format_, newest) + 1)
    if not isinstance(manifest, dict) or manifest.get("format") not in known:
        found = manifest.get("format") if isinstance(manifest, dict) else type(manifest).__name__
        raise InvalidArtifact(f"{path} has format {found!r}, expected {' or '.join(map(str, known))}")
    for key, kind in wanted.items():
        if not isinstance(manifest.get(key), kind):
            raise InvalidArtifact(f"{path}: {key} is {manifest.get(key)!r}, expected a {kind.__name__}")
    return manifest


def _read_part(path: Path, expected: str) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InvalidArtifact(f"{path} cannot be read: {error.strerror}") from None
    if _digest(content) != expected:
        raise InvalidArtifact(f"{path} is corrupted: its digest is {_digest(content)[:12]}, expected {expected[:12]}")
    return content


def _weights(policy: nn.Module) -> bytes:
    return safetensors.torch.save({name: value.contiguous() for name, value in policy.state_dict().items()})


def _articles(catalogue: Catalogue) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(catalogue.articles.replace_schema_metadata(None), sink)
    return sink.getvalue().to_pybytes()


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
