"""Mixtures: every reader has one arm and keeps it, the same inputs make the same version, broken ones are refused."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from newsrec import artifact, assignment, mixture
from newsrec.artifact import InvalidArtifact
from newsrec.config import InvalidConfig
from newsrec.mixture import CANDIDATE, INCUMBENT
from tests.trained import made

READERS = [f"reader-{number}" for number in range(4_000)]
EXPERIMENT = "front-page"


@pytest.fixture(scope="module")
def artefacts(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """An incumbent and a candidate."""
    folder = tmp_path_factory.mktemp("artefacts")
    return (
        artifact.save(made("popularity", data_until=100), folder / "old"),
        artifact.save(made("matrix_factorization", data_until=200), folder / "new"),
    )


@pytest.fixture(scope="module")
def whole(artefacts: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A mixture that tests copy before they spoil it."""
    directory = tmp_path_factory.mktemp("whole") / "mix"
    mixture.write(directory, *artefacts, 0.12, EXPERIMENT)
    return directory


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_everything_comes_back(artefacts: tuple[Path, Path], whole: Path) -> None:
    loaded = mixture.load(whole)
    incumbent, candidate = (artifact.load(path) for path in artefacts)
    assert (loaded.incumbent.version, loaded.candidate.version) == (incumbent.version, candidate.version)
    assert (loaded.incumbent.name, loaded.candidate.name) == ("popularity", "matrix_factorization")
    assert (loaded.share, loaded.experiment, loaded.salt) == (0.12, EXPERIMENT, EXPERIMENT)
    assert loaded.artifact(INCUMBENT) is loaded.incumbent
    assert loaded.artifact(CANDIDATE) is loaded.candidate
    assert loaded.feature_hash == incumbent.feature_hash
    assert sorted(p.name for p in whole.iterdir()) == ["candidate", "incumbent", "mixture.json"]
    with pytest.raises(AttributeError):
        loaded.share = 0.5  # type: ignore[misc]


def test_what_was_written_does_not_change_with_its_sources(artefacts: tuple[Path, Path], tmp_path: Path) -> None:
    copies = [Path(shutil.copytree(path, tmp_path / path.name)) for path in artefacts]
    version = mixture.write(tmp_path / "mix", copies[0], copies[1], 0.3, EXPERIMENT)
    for copy in copies:
        shutil.rmtree(copy)
    assert mixture.load(tmp_path / "mix").version == version


def test_the_version_follows_from_the_content_alone(artefacts: tuple[Path, Path], whole: Path, tmp_path: Path) -> None:
    incumbent, candidate = artefacts
    first = mixture.load(whole).version
    assert mixture.write(tmp_path / "again", incumbent, candidate, np.float64(0.12), EXPERIMENT, EXPERIMENT) == first  # type: ignore[arg-type]
    assert contents(tmp_path / "again") == contents(whole)
    others = [
        mixture.write(tmp_path / "a", candidate, incumbent, 0.12, EXPERIMENT),
        mixture.write(tmp_path / "b", incumbent, incumbent, 0.12, EXPERIMENT),
        mixture.write(tmp_path / "c", incumbent, candidate, 0.13, EXPERIMENT),
        mixture.write(tmp_path / "d", incumbent, candidate, 0.12, "another"),
        mixture.write(tmp_path / "e", incumbent, candidate, 0.12, EXPERIMENT, "pepper"),
    ]
    assert len({first, *others}) == 6


def test_a_reader_has_one_arm_whoever_loads_the_mixture(whole: Path) -> None:
    first, second = mixture.load(whole), mixture.load(whole)
    arms = [first.arm(reader) for reader in READERS]
    assert arms == [second.arm(reader) for reader in reversed(READERS)][::-1]
    shares = {INCUMBENT: 0.88, CANDIDATE: 0.12}
    assert arms == [assignment.arm(reader, EXPERIMENT, shares, EXPERIMENT) for reader in READERS]
    assert stats.binomtest(arms.count(CANDIDATE), len(READERS), 0.12).pvalue > 0.01
    assert set(arms) == {INCUMBENT, CANDIDATE}


def test_a_greater_share_moves_readers_into_the_candidate_alone(artefacts: tuple[Path, Path], tmp_path: Path) -> None:
    """Whatever else is new: the next mixture of an experiment may have a candidate that was trained anew."""
    before = None
    for number, share in enumerate((0.05, 0.12, 0.5, 0.95)):
        parts = artefacts if number % 2 else artefacts[::-1]
        mixture.write(tmp_path / "mix", *parts, share, EXPERIMENT)
        loaded = mixture.load(tmp_path / "mix")
        now = {reader for reader in READERS if loaded.arm(reader) == CANDIDATE}
        assert before is None or before < now
        before = now


def test_another_experiment_or_salt_draws_anew(whole: Path) -> None:
    first = mixture.load(whole)._replace(share=0.5)
    for other in (first._replace(experiment="sport"), first._replace(salt="pepper")):
        same = sum(first.arm(reader) == other.arm(reader) for reader in READERS)
        assert stats.binomtest(same, len(READERS), 0.5).pvalue > 0.01


def test_further_arms_have_their_shares_and_nobody_else_moves(artefacts: tuple[Path, Path], tmp_path: Path) -> None:
    third = artifact.save(made("popularity", data_until=300), tmp_path / "third")
    further = {"third": (third, 0.3), "again": (artefacts[1], 0.1)}
    version = mixture.write(tmp_path / "mix", *artefacts, 0.12, EXPERIMENT, further=further)
    loaded = mixture.load(tmp_path / "mix")
    assert (loaded.version, loaded.arms) == (version, ("incumbent", "candidate", "third", "again"))
    assert loaded.shares == pytest.approx({"incumbent": 0.48, "candidate": 0.12, "third": 0.3, "again": 0.1})
    assert loaded.artifact("third").version == artifact.load(third).version
    assert loaded.artifact("again").version == loaded.candidate.version
    arms = [loaded.arm(reader) for reader in READERS]
    counts = [arms.count(arm) for arm in loaded.arms]
    assert stats.chisquare(counts, [share * len(READERS) for share in loaded.shares.values()]).pvalue > 0.01
    mixture.write(tmp_path / "two", *artefacts, 0.2, EXPERIMENT)  # the two in the same proportion
    two = mixture.load(tmp_path / "two")
    for reader, arm in zip(READERS, arms, strict=True):
        assert arm in ("third", "again", two.arm(reader))
    assert json.loads((tmp_path / "mix" / "mixture.json").read_text())["format"] == 2  # older readers refuse it
    assert json.loads((tmp_path / "two" / "mixture.json").read_text())["format"] == 1


@pytest.mark.parametrize(
    ("further", "message"),
    [
        ({"third": 0.0}, "share of third is 0.0, expected more than 0 and less than 1"),
        ({"third": 0.5, "fourth": 0.4}, "shares are 0.12, 0.5, 0.4, expected less than 1 in sum"),
        ({"candidate": 0.1}, "further arm is 'candidate', expected a name"),
        ({"../x": 0.1}, "further arm is '../x', expected a name"),
        ({"": 0.1}, "further arm is '', expected a name"),
    ],
)
def test_further_arms_that_cannot_be_served_are_not_written(
    further: dict[str, float], message: str, artefacts: tuple[Path, Path], tmp_path: Path
) -> None:
    arms = {arm: (artefacts[0], share) for arm, share in further.items()}
    with pytest.raises(InvalidConfig, match=message):
        mixture.write(tmp_path / "mix", *artefacts, 0.12, EXPERIMENT, further=arms)
    assert list(tmp_path.iterdir()) == []


def test_a_mixture_is_told_from_an_artefact(artefacts: tuple[Path, Path], whole: Path, tmp_path: Path) -> None:
    assert [mixture.is_mixture(path) for path in (whole, *artefacts, tmp_path)] == [True, False, False, False]
    assert mixture.control(whole) == whole / "incumbent"
    assert mixture.control(artefacts[0]) == artefacts[0]
    with pytest.raises(InvalidArtifact, match=r"mix is a mixture; expected one artefact: name its incumbent or its"):
        artifact.load(whole)


@pytest.mark.parametrize(
    ("share", "experiment", "salt", "message"),
    [
        (0.0, "x", "", "share is 0.0, expected more than 0 and less than 1: serve one artefact alone"),
        (1, "x", "", "share is 1.0, expected"),
        (-0.1, "x", "", "share is -0.1, expected"),
        (float("nan"), "x", "", "share is nan, expected"),
        (0.5, "", "", "experiment is '', expected a name"),
        (0.5, "a\0b", "", "experiment is 'a.x00b', expected a name"),
        (0.5, "x", " ", "salt is ' ', expected a name"),
    ],
)
def test_what_cannot_be_served_is_not_written(
    share: float, experiment: str, salt: str, message: str, artefacts: tuple[Path, Path], tmp_path: Path
) -> None:
    with pytest.raises(InvalidConfig, match=message):
        mixture.write(tmp_path / "mix", *artefacts, share, experiment, salt)
    assert list(tmp_path.iterdir()) == []


def test_policies_of_different_features_are_not_mixed(artefacts: tuple[Path, Path], tmp_path: Path) -> None:
    other = artifact.save(made()._replace(feature_hash="0123456789abcdef"), tmp_path / "other")
    with pytest.raises(InvalidArtifact, match=r"other and .*old were trained on features 0123456789abcdef and \w{16}"):
        mixture.write(tmp_path / "mix", artefacts[0], other, 0.5, "x")
    assert [p.name for p in tmp_path.iterdir()] == ["other"]


def test_a_mixture_of_mixtures_is_refused(artefacts: tuple[Path, Path], whole: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidArtifact, match="mix is a mixture; expected one artefact"):
        mixture.write(tmp_path / "nested", whole, artefacts[1], 0.5, "x")
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_write_leaves_what_was_there(
    artefacts: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    mixture.write(tmp_path / "mix", *artefacts, 0.1, "x")
    before = contents(tmp_path)
    monkeypatch.setattr(mixture, "write_whole", interrupt)
    with pytest.raises(KeyboardInterrupt):
        mixture.write(tmp_path / "mix", *artefacts, 0.2, "x")
    assert contents(tmp_path) == before


def edit(change: Callable[[dict], object], sign: bool = False) -> Callable[[Path], None]:
    """Change mixture.json; with ``sign`` by someone who made its version fit."""

    def apply(directory: Path) -> None:
        manifest = json.loads((directory / "mixture.json").read_text())
        change(manifest)
        if sign:
            manifest["version"] = artifact.content_version(manifest)
        (directory / "mixture.json").write_text(json.dumps(manifest))

    return apply


def resigned(change: Callable[[dict], object]) -> Callable[[Path], None]:
    return edit(change, sign=True)


def other_features(directory: Path) -> None:
    other = made()._replace(feature_hash="0123456789abcdef")
    artifact.save(other, directory / "candidate")
    version = artifact.load(directory / "candidate").version
    resigned(lambda m: m["arms"].update(candidate=version))(directory)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (shutil.rmtree, "mixture.json cannot be read .No such file or directory.; expected the folder of a mixture"),
        (lambda d: (d / "mixture.json").write_text('{"format": 1, "exper'), "mixture.json is no JSON"),
        (lambda d: (d / "mixture.json").write_bytes(b"\x80\x04\x95"), "mixture.json is no JSON"),
        (lambda d: (d / "mixture.json").write_text("[1]"), "has format 'list', expected 1 or 2"),
        (edit(lambda m: m.update(format=3)), "has format 3, expected 1 or 2"),
        (resigned(lambda m: m.update(format=2)), "format 2 has 0 further arms"),
        (resigned(lambda m: m.update(further={"x": 0.1})), "format 1 has 1 further arms"),
        (resigned(lambda m: m.update(format=2, further={"x": 1})), "further is .*, expected a share by arm"),
        (
            resigned(lambda m: m.update(format=2, further={"../x": 0.1}, arms={**m["arms"], "../x": ""})),
            "further arm is '../x', expected a name",
        ),
        (edit(lambda m: m.pop("salt")), "salt is None, expected a str"),
        (resigned(lambda m: m.update(share=1)), "share is 1, expected a float"),
        (resigned(lambda m: m.update(share=0.0)), "share is 0.0, expected more than 0 and less than 1"),
        (resigned(lambda m: m.update(share=1.0)), "share is 1.0, expected more than 0 and less than 1"),
        (resigned(lambda m: m.update(share=float("nan"))), "share is nan, expected more than 0 and less than 1"),
        (resigned(lambda m: m.update(experiment="")), "experiment is '', expected a name"),
        (resigned(lambda m: m["arms"].pop("candidate")), r"arms are \['incumbent'\], expected incumbent and candidate"),
        (edit(lambda m: m.update(share=0.5)), r"was changed: it says version \w+, but its content has \w+"),
        (lambda d: shutil.rmtree(d / "candidate"), "candidate/policy.json cannot be read .No such file or directory."),
        (lambda d: (d / "incumbent" / "weights.safetensors").unlink(), "incumbent/weights.safetensors cannot be read"),
        (
            lambda d: artifact.save(made("popularity", data_until=7), d / "candidate"),
            r"candidate holds \w+, but mixture.json says \w+; write the mixture again",
        ),
        (other_features, r"were trained on features 0123456789abcdef and \w{16}, expected the same"),
    ],
)
def test_a_broken_mixture_is_refused_in_one_sentence(
    damage: Callable[[Path], None], message: str, whole: Path, tmp_path: Path
) -> None:
    directory = Path(shutil.copytree(whole, tmp_path / "mix"))
    damage(directory)
    with pytest.raises(InvalidArtifact, match=message) as refused:
        mixture.load(directory)
    assert "\n" not in str(refused.value)
    assert str(directory) in str(refused.value)
