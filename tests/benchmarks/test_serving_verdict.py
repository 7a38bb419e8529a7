"""What rounds of serving say: ratios with their spread, met or not, and the runs that do not count."""

from pathlib import Path

import pytest

from benchmarks.results import FOLDER, ROOT, Results, machine, versions, write
from benchmarks.serving.designs import Taken, order, refuse_other_scores, refuse_outcome
from benchmarks.serving.load import Outcome
from benchmarks.serving.table import designs_to_markdown, tables
from benchmarks.serving.verdict import TABLE, Rounds, judged, spread
from benchmarks.serving.void import Void

RATES = {"newsrec": 2000.0} | {name: row.rate for name, row in TABLE.items()}
P50 = {"newsrec": 0.5} | {name: row.p50 for name, row in TABLE.items()}


def outcome(rate: float, p50: float, p99: float) -> Outcome:
    return Outcome(int(rate * 10), 10.0, {}, p50, p99, p99, 0.1)


def rounds(count: int = 3, **rates: float) -> Rounds:
    """Rounds as the table has them, but for ``rates`` with eight connections; p99 is 1,000 ms divided by the rate."""
    found = []
    for _ in range(count):
        of_round = {}
        for connections in (1, 8):
            taken = {}
            for name, rate in (RATES | rates).items():
                taken[name] = Taken(outcome(rate, P50[name], 1000.0 / rate), {name: 5.0, "redis": 1.0})
            of_round[connections] = taken
        found.append(of_round)
    return found


def test_bars_are_met_by_what_was_promised() -> None:
    bars = {bar.name: bar for bar in judged(rounds(), "redis", True).bars}
    assert [bar.met for bar in bars.values()] == [True] * 4
    assert bars["redis: requests/s at c=8 beside smart"].value == pytest.approx(2000 / 231)
    assert bars["redis: requests/s at c=8 beside tuned"].value == pytest.approx(2000 / 24)
    assert bars["redis: p50 at c=1 beside the limit's"].value == pytest.approx(0.5 / 0.19)
    assert bars["redis: p99 at c=8 beside smart's"].value == pytest.approx(231 / 2000)


def test_bars_are_not_met_by_less() -> None:
    bars = judged(rounds(newsrec=950.0), "redis", True).bars
    assert [bar.met for bar in bars] == [False, False, True, False]
    slow = rounds()
    for of_round in slow:
        of_round[1]["newsrec"] = Taken(outcome(1000.0, 0.7, 1.0), {"newsrec": 1.0})
    assert [bar.met for bar in judged(slow, "redis", True).bars] == [True, True, False, True]


def test_the_value_is_the_median_of_rounds_and_the_interval_their_ends() -> None:
    three = rounds()
    for of_round, rate in zip(three, (1155.0, 2310.0, 2079.0), strict=True):
        of_round[8]["newsrec"] = Taken(outcome(rate, 1.0, 1.0), {"newsrec": 1.0})
    (bar, *_) = judged(three, "redis", True).bars
    assert bar.value == pytest.approx(9.0)
    assert bar.interval == pytest.approx((5.0, 10.0))
    assert spread(three, 8, lambda round_: round_["newsrec"].outcome.rate) == pytest.approx((2079.0, 1155.0, 2310.0))


@pytest.mark.parametrize(
    ("peer", "factor", "counts"),
    [
        *((peer, *of) for peer in ("published", "tuned", "smart") for of in ((0.79, False), (1.21, False))),
        *((peer, factor, True) for peer in ("published", "tuned", "smart", "limit") for factor in (0.81, 1.19)),
        ("limit", 0.79, False),
        ("limit", 2.0, True),
    ],
)
def test_a_peer_that_is_not_what_it_was_beside_the_no_op_voids_the_run(peer: str, factor: float, counts: bool) -> None:
    other = rounds(**{peer: TABLE[peer].rate * factor})
    if counts:
        assert judged(other, "redis", True).figures["beside_no_op"][peer]["of_table"] == pytest.approx(factor, abs=0.02)
        return
    with pytest.raises(Void, match=f"{peer} answers .* in the table$") as void:
        judged(other, "redis", True)
    assert str(void.value).count("answers") == 1, "the others are what they were"
    assert "**newsrec**" in tables(void.value.designs), "whoever waited for it sees it"
    judged(other, "redis", False)
    judged(other, "sqlite", True)  # the table is of Redis


def test_a_faster_machine_is_no_other_peer() -> None:
    judged(rounds(**{name: rate * 3.0 for name, rate in RATES.items()}), "redis", True)


def test_figures_hold_the_cpu_time_of_each_server() -> None:
    figures = judged(rounds(), "redis", True).figures["no-op"]["c=8"]
    assert figures["cpu_microseconds"] == pytest.approx({"no-op": 5e6 / 31_500, "redis": 1e6 / 31_500})
    assert figures["requests"] == 3 * 31_500
    assert figures["generator_cpu_microseconds"] == pytest.approx(1e5 / 31_500)


def test_an_outcome_with_errors_or_a_busy_generator_does_not_count() -> None:
    fine = outcome(100.0, 1.0, 1.0)
    refuse_outcome("smart", fine)
    for other, why in (
        (fine._replace(errors={"status 503": 1}), "status 503"),
        (fine._replace(requests=0), "no answer"),
        (fine._replace(cpu_seconds=9.0), "busy for 90%"),
    ):
        with pytest.raises(Void, match=f"smart: .*{why}"):
            refuse_outcome("smart", other)


def test_every_design_takes_every_turn() -> None:
    names = ["a", "b", "c"]
    assert [order(names, number) for number in range(4)] == [
        ["a", "b", "c"], ["a", "c", "b"], ["c", "a", "b"], ["c", "b", "a"]
    ]  # fmt: skip


def test_other_scores_void_the_run() -> None:
    right = {"a": 1.0, "b": -2.0}
    refuse_other_scores({"newsrec": right, "smart": {"b": -2.00005, "a": 1.0}}, ["a", "b"])
    with pytest.raises(Void, match=r"smart gives b -1\.900000, newsrec -2\.000000"):
        refuse_other_scores({"newsrec": right, "smart": {"a": 1.0, "b": -1.9}}, ["a", "b"])
    with pytest.raises(Void, match="smart gives b nan"):
        refuse_other_scores({"newsrec": right, "smart": {"a": 1.0, "b": float("nan")}}, ["a", "b"])
    with pytest.raises(Void, match="tuned scored 1 articles"):
        refuse_other_scores({"newsrec": right, "tuned": {"a": 1.0}}, ["a", "b"])


def test_the_table_for_prose_is_of_the_file(tmp_path: Path) -> None:
    part = judged(rounds(), "redis", True)
    command, figures = "python -m benchmarks.serving", {"designs": {"redis": part.figures}}
    results = Results(command, {}, {}, machine(), versions(), figures, [])
    write(results, tmp_path / "serving.json")
    table = designs_to_markdown(tmp_path / "serving.json").splitlines()
    assert table[0] == "Online store Redis:"
    assert "\n".join(table).startswith(tables(figures["designs"])), "from figures as from the file"
    (ours,) = [line for line in table if "**newsrec**" in line]
    cells = [cell.strip() for cell in ours.strip("|").split("|")]
    assert cells[1:4] == ["0.5 [0.5, 0.5]", "2,000 [2,000, 2,000]", "0.5 [0.5, 0.5]"]
    assert cells[4:] == ["300", "36.2%", "153.8"]
    assert len(table) == 2 + 2 + len(RATES) + 1 + 1
    assert table[-1].startswith("`python -m benchmarks.serving` at ")


def test_the_readme_shows_the_results_of_the_benchmark() -> None:
    if not (FOLDER / "serving.json").exists():
        pytest.skip("no full run of benchmarks.serving is published yet")
    assert designs_to_markdown(FOLDER / "serving.json") in (ROOT / "README.md").read_text(encoding="utf-8")
