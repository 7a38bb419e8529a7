"""Artefacts: the same scores after a fresh start, the same version for the same content, no foreign or broken one."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import safetensors.torch
import torch

from newsrec import artifact, features
from newsrec.artifact import InvalidArtifact
from newsrec.features import EMBEDDING_DIM
from newsrec.registry import REGISTRY
from newsrec.transitions import CONTEXT_DIM, Candidates, State
from tests.trained import made

SCORE = """
import sys, safetensors.torch, torch
from newsrec import artifact
from newsrec.transitions import Candidates, State
torch.set_num_threads(1)
saved = safetensors.torch.load_file(sys.argv[2])
saved = {name: tensor.clone() for name, tensor in saved.items()}  # matrix products depend on the alignment of memory
state, candidates = ((kind(*(saved[name] for name in kind._fields))) for kind in (State, Candidates))
loaded = artifact.load(sys.argv[1])
with torch.inference_mode():
    scores = loaded.policy.scores(state, candidates)
safetensors.torch.save_file({"scores": scores}, sys.argv[3])
print(loaded.version)
"""


def request() -> tuple[State, Candidates]:
    """Three readers with 0, 2 and 3 reads; known, new and absent candidates."""
    generator = torch.Generator().manual_seed(1)

    def random(*shape: int) -> torch.Tensor:
        return torch.rand(*shape, generator=generator)

    mask = torch.arange(3) < torch.tensor([[0], [2], [3]])
    state = State(
        torch.tensor([[0, 0, 0], [1, 2, 0], [3, 0, 4]]),
        random(3, 3, EMBEDDING_DIM),
        random(3, 3).sort(1, descending=True).values,
        random(3, 3),
        mask,
        random(3, CONTEXT_DIM),
    )
    index = torch.tensor([[1, 0, 4, 2]]).expand(3, 4).contiguous()
    present = torch.ones(3, 4).bool()
    present[1, 3] = False
    return state, Candidates(index, random(3, 4, EMBEDDING_DIM), random(3, 4), random(3, 4, 4), random(3, 4), present)


@pytest.mark.parametrize("name", REGISTRY)
def test_scores_after_loading_in_a_fresh_process_equal_those_before_saving(
    name: str, python: Path, tmp_path: Path
) -> None:
    before, (state, candidates) = made(name), request()
    directory = artifact.save(before, tmp_path / "model")
    safetensors.torch.save_file({**state._asdict(), **candidates._asdict()}, tmp_path / "request")
    command = [python, "-c", SCORE, str(directory), str(tmp_path / "request"), str(tmp_path / "scores")]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    with torch.inference_mode():
        expected = before.policy.scores(state, candidates)
    assert torch.equal(safetensors.torch.load_file(tmp_path / "scores")["scores"], expected)
    assert run.stdout.strip() == before.version


def test_everything_comes_back(tmp_path: Path) -> None:
    before = made(seed=3, trained=4, commit="abc", window=[1, 2])
    after = artifact.load(artifact.save(before, tmp_path / "model"))
    assert after.name == "matrix_factorization"
    assert after.policy.config == before.policy.config
    assert after.catalogue.articles.equals(before.catalogue.articles)
    assert after.catalogue.trained == 4
    assert after.catalogue.index(torch.arange(7).numpy()).tolist() == [0, 1, 2, 3, 4, 0, 0]
    assert (after.use_time, after.provenance) == (True, before.provenance)
    assert (after.feature_hash, after.version) == (features.feature_hash(), before.version)
    assert not after.policy.training, "a policy that is served drops nothing out"
    assert sorted(p.name for p in (tmp_path / "model").iterdir()) == [
        "articles.parquet",
        "policy.json",
        "weights.safetensors",
    ]


def test_the_version_follows_from_the_content_alone(tmp_path: Path) -> None:
    first = made()
    assert made().version == first.version
    again = artifact.save(artifact.load(artifact.save(first, tmp_path / "a")), tmp_path / "b")
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (again / path.name).read_bytes()
    others = [
        made(seed=1),
        made(trained=3),
        made(run="another"),
        made("popularity"),
        artifact.create(first.name, first.policy, first.catalogue, use_time=False, provenance=first.provenance),
    ]
    assert len({first.version, *(other.version for other in others)}) == 6


def test_saving_replaces_an_older_artefact_whole(tmp_path: Path) -> None:
    artifact.save(made(), tmp_path / "model")
    (tmp_path / "model" / "stray").touch()
    artifact.save(made(seed=1), tmp_path / "model")
    assert artifact.load(tmp_path / "model").version == made(seed=1).version
    assert not (tmp_path / "model" / "stray").exists()
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


def test_an_interrupted_save_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(artifact, "write_whole", interrupt)
    with pytest.raises(KeyboardInterrupt):
        artifact.save(made(), tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def edit(change: Callable[[dict], object]) -> Callable[[Path], None]:
    def apply(directory: Path) -> None:
        manifest = json.loads((directory / "policy.json").read_text())
        change(manifest)
        (directory / "policy.json").write_text(json.dumps(manifest))

    return apply


def resigned(change: Callable[[dict], object]) -> Callable[[Path], None]:
    """An edit by someone who also made the version fit: another code's artefact, not a damaged one."""

    def both(manifest: dict) -> None:
        change(manifest)
        manifest["version"] = artifact.content_version(manifest)

    return edit(both)


def replace_part(name: str, write: Callable[[Path], object]) -> Callable[[Path], None]:
    def apply(directory: Path) -> None:
        write(directory / name)
        digest = artifact._digest((directory / name).read_bytes())
        resigned(lambda m: m["digests"].update({name: digest}))(directory)

    return apply


def flip_a_bit(name: str) -> Callable[[Path], None]:
    def apply(directory: Path) -> None:
        content = bytearray((directory / name).read_bytes())
        content[len(content) // 2] ^= 1
        (directory / name).write_bytes(content)

    return apply


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (shutil.rmtree, "policy.json cannot be read .No such file or directory.; expected the folder of an artefact"),
        (lambda d: (d / "policy.json").unlink(), "policy.json cannot be read"),
        (lambda d: (d / "policy.json").write_text("{"), "policy.json is no JSON"),
        (lambda d: (d / "policy.json").write_bytes(b"\x80\x04\x95"), "policy.json is no JSON"),
        (lambda d: (d / "policy.json").write_text("[1]"), "has format 'list', expected 1"),
        (edit(lambda m: m.update(format=2)), "has format 2, expected 1"),
        (edit(lambda m: m.pop("config")), "config is None, expected a dict"),
        (edit(lambda m: m.update(name="oracle")), "policy 'oracle' is unknown, expected one of popularity, "),
        (edit(lambda m: m["digests"].pop("articles.parquet")), r"digests name \['weights.safetensors'\], expected"),
        (edit(lambda m: m["provenance"].update(data_until=1)), r"was changed: it says version \w+, but its content"),
        (edit(lambda m: m.update(feature_hash="0" * 16)), "was changed"),
        (resigned(lambda m: m["inputs"].reverse()), r"trained on inputs \['log_dwell_day', .*; train again"),
        (lambda d: (d / "weights.safetensors").unlink(), "weights.safetensors cannot be read: No such file"),
        (lambda d: (d / "articles.parquet").unlink(), "articles.parquet cannot be read: No such file"),
        (flip_a_bit("weights.safetensors"), r"weights.safetensors is corrupted: its digest is \w{12}, expected \w{12}"),
        (flip_a_bit("articles.parquet"), "articles.parquet is corrupted"),
        (resigned(lambda m: m["config"].update(depth=3)), "does not fit this code: config: unknown key depth"),
        (
            resigned(lambda m: m["config"].update(width=8)),
            "does not fit this code: .* size mismatch for article.content",
        ),
        (
            resigned(lambda m: m.update(trained_articles=3)),
            "does not fit this code: .* size mismatch for article.identity",
        ),
        (
            replace_part("weights.safetensors", lambda p: p.write_bytes(b"\x80\x04\x95pickle")),
            "does not fit this code: .*header",
        ),
        (
            replace_part("weights.safetensors", lambda p: safetensors.torch.save_file({"x": torch.zeros(1)}, p)),
            r"does not fit this code: .*Missing key\(s\) in state_dict",
        ),
        (replace_part("articles.parquet", lambda p: p.write_bytes(b"PAR1")), "does not fit this code: "),
        (
            replace_part("articles.parquet", lambda p: pq.write_table(pq.read_table(p).drop(["published_at"]), p)),
            "does not fit this code: articles: column published_at is missing",
        ),
    ],
)
def test_a_broken_or_foreign_artefact_is_refused_in_one_sentence(
    damage: Callable[[Path], None], message: str, tmp_path: Path
) -> None:
    directory = artifact.save(made(), tmp_path / "model")
    damage(directory)
    with pytest.raises(InvalidArtifact, match=message) as refused:
        artifact.load(directory)
    assert "\n" not in str(refused.value)
    assert str(directory) in str(refused.value)


def test_an_artefact_of_other_stored_features_loads_and_says_so(tmp_path: Path) -> None:
    """Whether they fit is for whoever has the store to say."""
    other = made()._replace(feature_hash="0123456789abcdef")
    assert artifact.load(artifact.save(other, tmp_path / "model")).feature_hash == "0123456789abcdef"
