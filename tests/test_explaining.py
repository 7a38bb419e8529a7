"""A request explained: as the whole log has it, in the policy's own order, and ``newsrec explain`` in words."""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings

from newsrec import artifact, cli, dataset, events
from newsrec.evaluation.explanation import read_attributions
from newsrec.evaluation.explanation_quality import requests
from newsrec.events import EventLog, InvalidEvents
from newsrec.explaining import CannotExplain, explain, latest_request, one_decision
from newsrec.features import HOUR
from tests.logs import MONDAY, article, decision, event, logs
from tests.logs import log as made_log
from tests.trained import made


@given(logs())
@settings(max_examples=40, deadline=None)
def test_one_decision_is_what_the_whole_log_makes_of_it(log: EventLog) -> None:
    """All that a policy sees: what others clicked, and how late it arrived, included."""
    try:
        whole = dataset.from_log(log)
    except InvalidEvents:
        return
    for row, request in enumerate(requests(log).to_pylist()):
        one = one_decision(log, request).batch(np.array([0]))
        of_whole = whole.batch(np.array([row]))
        length = int(one.state.history_mask.sum())
        assert length == int(of_whole.state.history_mask.sum())
        assert torch.equal(one.state.context, of_whole.state.context)
        for found, wanted in zip(one.state[1:5], of_whole.state[1:5], strict=True):
            assert torch.equal(found[:, :length], wanted[:, :length])
        for found, wanted in zip(one.candidates[1:], of_whole.candidates[1:], strict=True):
            assert torch.equal(found, wanted)


@pytest.fixture
def log() -> EventLog:
    """Reader u reads a, b and c, and is then shown four articles; v never reads."""
    titles = dict(zip("abcdef", ["Ants", "Bees [drones]", "Cats", "Dogs", "Eels", None], strict=True))
    content = torch.nn.functional.normalize(torch.randn(6, 64, generator=torch.Generator().manual_seed(3)))
    articles = [
        article(a, MONDAY, title=title, embedding=content[i].tolist()) for i, (a, title) in enumerate(titles.items())
    ]
    decisions = [decision(f"r{i}", "u", MONDAY + i * HOUR, a + "f") for i, a in enumerate("abc")]
    decisions += [decision("last", "u", MONDAY + 9 * HOUR, "ed", "cdef"), decision("empty", "v", MONDAY, "ab")]
    clicks = [("r0", "a", 0), ("r1", "b", 1), ("r2", "c", 2), ("last", "e", 9)]
    return made_log(articles, decisions, [event(r, "u", "click", a, MONDAY + h * HOUR + 60) for r, a, h in clicks])


def test_a_slate_is_explained_in_the_policy_s_own_words(log: EventLog) -> None:
    policy = made("dqn")
    found = explain([policy], log, "last", size=2, named=3)
    assert (found.user_id, found.reads, found.policies) == ("u", 3, 1)
    batch = one_decision(log, "last").numbered_by(policy.catalogue).batch(np.array([0]))
    with torch.no_grad():
        scores = policy.policy.scores(batch.state, batch.candidates)[0]
    order = scores.argsort(descending=True)
    assert [row.article_id for row in found.slate] == ["cdef"[c] for c in order[:2]]
    assert [row.rank for row in found.slate] == [1, 2]
    assert [row.score for row in found.slate] == pytest.approx(scores[order[:2]].tolist())
    by_hand = read_attributions(policy.policy, batch.state, batch.candidates, order[:1])[0]
    names = ["Ants", "Bees [drones]", "Cats"]
    wanted = sorted(((float(x), name) for x, name in zip(by_hand, names, strict=True) if x > 0), reverse=True)
    assert [(read.attribution, read.title) for read in found.slate[0].reads] == [
        (pytest.approx(x, rel=1e-3), name) for x, name in wanted
    ]
    assert [r.share for r in found.slate[0].reads] == pytest.approx(
        [x / float(by_hand.abs().sum()) for x, _ in wanted], rel=1e-3
    )
    rows = {row.article_id: row for row in explain([policy], log, "last", size=4).slate}
    assert (rows["e"].logged, rows["d"].logged, rows["c"].logged) == ("shown at 1, clicked", "shown at 2", "")
    assert (rows["f"].title, rows["e"].title) == ("f", "Eels")


def test_what_the_click_model_would_have_shown_instead_is_told(log: EventLog) -> None:
    """Freshness of the worth alone decides: the click model's first is the policy's last, and the other way round."""
    policy = made("dqn")
    with torch.no_grad():
        policy.policy.value.click_weight = -1.0
        for parameter in policy.policy.value.parameters():
            parameter.zero_()
    found = explain([policy], log, "last", size=1)
    (out,) = found.left_out
    assert (out.rank, out.move.click_rank) == (4, 1)
    assert found.slate[0].move.click_rank == 4


def test_other_seeds_give_an_interval_and_other_policies_are_refused(log: EventLog) -> None:
    found = explain([made("dqn", seed) for seed in (0, 1, 2)], log, "last").slate[0].move
    assert found.low < found.difference < found.high
    assert explain([made("dqn")], log, "last").slate[0].move.low != found.low
    with pytest.raises(CannotExplain, match=r"found dqn .* and cql .*, which differ in more than their seed"):
        explain([made("dqn"), made("cql")], log, "last")
    with pytest.raises(CannotExplain, match="transformer has no long-term values that several seeds could bound"):
        explain([made("transformer", seed) for seed in (0, 1)], log, "last")


@pytest.mark.parametrize("name", ["transformer", "policy_gradient", "iql", "actor_critic"])
def test_every_policy_with_a_history_is_explained(name: str, log: EventLog) -> None:
    found = explain([made(name)], log, "last")
    assert any(row.reads for row in found.slate)
    assert (found.slate[0].move is None) == (name in ("transformer", "policy_gradient"))


@pytest.fixture
def run(
    monkeypatch: pytest.MonkeyPatch, log: EventLog, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Exit code, output and errors of ``newsrec explain`` on the log, for policies by name."""
    folder = events.write(log, tmp_path / "log")
    monkeypatch.setenv("COLUMNS", "160")

    def run(names: str, *arguments: str) -> tuple[int, str, str]:
        places = [
            artifact.save(made(name, seed), tmp_path / f"{name}{seed}") for seed, name in enumerate(names.split())
        ]
        monkeypatch.setattr(sys, "argv", ["newsrec", "explain", *map(str, places), "--log", str(folder), *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    return run


def test_the_command_says_what_drove_and_what_moved(run: Callable[..., tuple[int, str, str]]) -> None:
    code, out, err = run("dqn dqn", "--user", "u", "--size", "4")
    assert (code, err) == (0, "")
    for words in ("for u at 2024-01-01 09:00 UTC, 3 reads known", "driven by", "by clicks", "long-term", "shown at 1"):
        assert words in out
    assert "mean and 95 % interval over 2 trainings" in out
    assert "Bees [drones]" in out, "a title is no markup"
    code, out, _ = run("transformer", "--request", "last", "--method", "rollout")
    assert code == 0
    assert "driven by (rollout)" in out
    assert "transformer has no values beside its score" in out


@pytest.mark.parametrize(
    ("names", "arguments", "message"),
    [
        ("dqn", ["--user", "nobody"], "found no decision for the reader 'nobody', expected one of 2 readers"),
        ("dqn", ["--request", "r99"], "found no decision 'r99', expected one of 5 requests"),
        ("dqn", ["--user", "v"], "the reader 'v' had read nothing yet at 'empty', expected a request with a history"),
        ("popularity", ["--user", "u"], "PopularityPolicy has no network over reads that integrated_gradients could"),
        ("popularity", ["--user", "u", "--method", "leave_one_out"], "popularity do not depend on what was read"),
        ("dqn", ["--user", "u", "--method", "magic"], "method is 'magic', expected one of integrated_gradients"),
        ("dqn cql", ["--user", "u"], "expected one policy trained with several seeds"),
    ],
)
def test_what_cannot_be_explained_is_said_in_a_sentence(
    names: str, arguments: list[str], message: str, run: Callable[..., tuple[int, str, str]]
) -> None:
    code, out, err = run(names, *arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert len(err.splitlines()) == 1


def test_the_latest_request_of_a_reader(log: EventLog) -> None:
    assert latest_request(log, "u") == "last"


def test_a_folder_that_is_no_artefact_is_named(run: Callable[..., tuple[int, str, str]], tmp_path: Path) -> None:
    code, _, err = run("dqn", "--user", "u", str(tmp_path / "nothing"))
    assert code == 2
    assert "policy.json cannot be read" in err
