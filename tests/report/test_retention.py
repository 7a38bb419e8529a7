"""The curve of readers by active days, from the plays of a study."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from newsrec.compare import outcomes, report, scheduling
from newsrec.compare.jobs import plan
from newsrec.report.retention import at_least, retention
from newsrec.report.sections.study import retained
from newsrec.report.sources import gather
from tests.compare.studies import Free, study
from tests.report import runs


def test_the_curve_is_the_share_of_readers_and_its_area_the_mean() -> None:
    active = {1: runs.spread(1), 2: runs.spread(2)}
    curve = at_least(active, 28)
    assert curve.shape == (29, 3)
    assert curve[0].tolist() == [1.0, 1.0, 1.0]
    both = np.concatenate(list(active.values()))
    assert curve[7, 0] == pytest.approx((both >= 7).mean())
    assert curve[1:, 0].sum() == pytest.approx(both.mean()), "the area under a survival curve is the mean"
    assert (np.diff(curve[:, 0]) <= 0).all()
    assert (curve[:, 1] <= curve[:, 0]).all()
    assert (curve[:, 2] >= curve[:, 0]).all()


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, small = tmp_path_factory.mktemp("study"), study()
    whole = plan(small)
    scheduling.run(whole.jobs, folder, Free(), workers=1)
    report.write(small, whole, outcomes.read(small, whole, folder), folder)
    return folder


def test_a_study_gives_a_curve_for_every_policy(played: Path) -> None:
    found = gather(played)
    (world,) = retention(found.study, found.plays).values()
    assert list(world.shares) == ["popularity", "lottery"]
    assert world.left_out == ()
    mean = found.study["worlds"]["nominal"]["levels"]["lottery"]["active_days"]["value"]
    assert world.shares["lottery"][1:, 0].sum() == pytest.approx(mean)
    section = retained(found.study, found.plays, lambda: 1)
    assert [block.kind for block in section.blocks] == ["figures", "table", "text"]


def test_what_is_not_there_is_named(played: Path, tmp_path: Path) -> None:
    found = gather(played)
    section = retained(found.study, tmp_path, lambda: 1)
    assert section.empty
    assert section.blocks[0].text.startswith("The plays of this study are not in")
    shutil.copytree(played / "play", tmp_path / "play")
    whole = plan(study())
    shutil.rmtree(whole.plays["lottery", "nominal", 1].at(tmp_path))
    section = retained(found.study, tmp_path, lambda: 1)
    assert section.blocks[2].text == "nominal: no plays are there of lottery."
    assert "not beside its results" in retained(found.study, None, lambda: 1).blocks[0].text
    other = json.loads(json.dumps(found.study))
    other["study"]["unheard_of"] = 1
    assert "cannot be read by this version" in retained(other, played, lambda: 1).blocks[0].text
