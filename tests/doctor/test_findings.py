"""A whole log is fine throughout; broken in one place, exactly that is found, with its counts and what it costs."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

import pytest

from newsrec.config import InvalidConfig
from newsrec.doctor.diagnosis import diagnose
from newsrec.doctor.finding import (
    CALIBRATION,
    GATE,
    OFF_POLICY,
    PARTS,
    RETENTION,
    TEXT,
    Diagnosis,
    Finding,
    costs,
    sum_up,
)
from newsrec.events import CANDIDATES_CUT, FIRST_SIGHT, IMPORTED_POLICY, NO_READER_IDS, ORDINAL_TIME, InvalidEvents
from newsrec.features import DAY, HOUR
from tests import logs
from tests.doctor.whole_log import Rows, whole
from tests.logs import MINUTE, MONDAY, SECOND


def finding(diagnosis: Diagnosis, name: str) -> Finding:
    (found,) = [found for found in diagnosis.findings if found.name == name]
    return found


def parts(diagnosis: Diagnosis) -> dict[str, tuple[str, str]]:
    return {part.name: (part.verdict, part.sentence) for part in diagnosis.parts}


def not_fine(diagnosis: Diagnosis) -> dict[str, str]:
    return {found.name: found.verdict for found in diagnosis.findings if found.verdict != "fine"}


def test_a_whole_log_can_answer_everything() -> None:
    diagnosis = diagnose(whole().log(), now=MONDAY + 15 * DAY)
    assert not_fine(diagnosis) == {}
    assert parts(diagnosis) == {name: ("fine", able) for name, able in PARTS.items()}
    counts = {found.name: (found.value, found.counts) for found in diagnosis.findings}
    assert counts == {
        "decisions": (300, {"decisions": 300, "imported": 0, "empty_slates": 0, "slates_of_one": 0}),
        "propensities": (1.0, {"decisions": 300, "logged": 300}),
        "exploration": (1.0, {"open": 300, "drawn": 300}),
        "candidates": (1.0, {"decisions": 300, "wider": 300, "median": 4}),
        "positions": (1.0, {"impressions": 600, "placed": 600}),
        "readers": (60, {"readers": 60, "decisions": 300}),
        "seen again": (0.8, {"readers": 60, "seen_again": 60, "came_back": 60, "visits": 300}),
        # from 07:00:13 of the first day to 13:46:13 of the last; days 0 to 6 whole, of day 7 all but the last reader
        "length": (
            14 + 406 / 1440,
            {"days": 14 + 406 / 1440, "horizon_days": 7.0, "decisions": 300, "watched": 159},
        ),
        "click rate": (160 / 600, {"clicks": 160, "impressions": 600, "decisions": 300, "with_a_click": 160}),
        # 210 to train on, then the second half of day 10 and day 11, then days 12 to 14
        "clicks to judge": (
            40,
            {"train": 210, "validation": 30, "test": 60, "validation_clicked": 10, "test_clicked": 40}
            | {"test_readers": 40},
        ),
        "feedback": (
            4,
            {"impression": 600, "click": 160, "dwell": 160, "like": 20, "share": 0, "comment": 0, "hide": 0}
            | {"leave": 0},
        ),
        "titles": (1.0, {"articles": 4, "titled": 4, "shown": 600, "shown_titled": 600, "shown_with_content": 600}),
        "clock": (
            0,
            {"before_2000": 0, "in_the_future": 0, "before_their_decision": 0, "after_their_arrival": 0},
        ),
        "local time": (1.0, {"decisions": 300, "known": 300}),
        "publication": (0.0, {"shown": 600, "before": 0}),
        "arrival": (pytest.approx(2 / 3600), {"events": 940, "over_an_hour": 0, "over_a_day": 0}),
        "duplicates": (0, {"decisions": 0, "impressions": 0, "other_feedback": 0}),
        "references": (
            0,
            {"unknown_candidates": 0, "unknown_requests": 0, "of_another_reader": 0, "outside_the_slate": 0},
        ),
    }


NOTHING: Mapping = MappingProxyType({})


class Case(NamedTuple):
    """A whole log that ``breaks``; what is not fine then, and what the parts say of it."""

    breaks: Callable[[Rows], object]
    found: dict[str, str]
    unfit: Mapping[str, str] = NOTHING
    limited: Mapping[str, str] = NOTHING
    counts: Mapping[str, Mapping[str, float]] = NOTHING


def each(rows: list[dict], **values: object) -> None:
    for row in rows:
        row.update(values)


def same(reason: str, *names: str) -> dict[str, str]:
    return dict.fromkeys(names, reason)


def again(rows: list[dict], key: str, among: list[dict]) -> None:
    """The same rows under another key."""
    among.extend({**row, key: f"{row[key]} again"} for row in rows)


def split_readers(rows: Rows, kept: range) -> None:
    """Readers who are not ``kept`` are another one on each of their visits."""
    for row in (*rows.decisions, *rows.feedback):
        if int(row["user_id"][1:]) not in kept:
            row["user_id"] = row["request_id"].replace("r", "u")


def one_article(rows: Rows) -> None:
    for row in rows.decisions:
        row.update(slate=row["slate"][:1], propensities=[0.25])
    rows.feedback[:] = [row for row in rows.feedback if row["position"] == 0]


def everyone_clicks(rows: Rows) -> None:
    idle = [row for row in rows.of("impression") if row["position"] == 0 and rows.day(row) % 2]
    rows.feedback.extend({**row, "kind": "click", "event_id": f"{row['event_id']} click"} for row in idle)


def no_clicks_on(rows: Rows, *days: int) -> None:
    rows.feedback[:] = [row for row in rows.feedback if row["kind"] != "click" or rows.day(row) not in days]


def full_hours(rows: Rows) -> None:
    for row in (*rows.decisions, *rows.feedback):
        row["time"] -= row["time"] % HOUR


def like_elsewhere(rows: Rows, clicks: list[dict]) -> None:
    """A like of an article that did not stand in the slate, one for each of ``clicks``."""
    slates = {row["request_id"]: row["slate"] for row in rows.decisions}
    for row in clicks:
        other = min(set("abcd") - set(slates[row["request_id"]]))
        rows.feedback.append({**row, "kind": "like", "article_id": other, "event_id": f"{row['event_id']} other"})


def click_elsewhere(rows: Rows, decisions: int) -> None:
    """On days without any clicks."""
    for row in [row for row in rows.decisions if rows.day(row) % 2][:decisions]:
        other = min(set("abcd") - set(row["slate"]))
        rows.feedback.append(logs.event(row["request_id"], row["user_id"], "click", other, row["time"] + SECOND))


def click_again_later(rows: Rows) -> None:
    again(rows.of("click"), "event_id", clicks := [])
    shift(clicks, "time", MINUTE)
    shift(clicks, "received_at", MINUTE)
    rows.feedback.extend(clicks)


def shift(rows: list[dict], column: str, by: int) -> None:
    for row in rows:
        row[column] += by


ONE_VISIT = "0 of 60 readers come for a second visit"
FEW = "39 readers who come back are few: expected 40 for an interval"
UNKNOWN = "the log does not say who its readers are"
CASES = {
    "no propensities": Case(
        lambda rows: each(rows.decisions, propensities=None),
        {"propensities": "unfit", "exploration": "unfit"},
        same("no propensities", OFF_POLICY, RETENTION),
        counts={"propensities": {"decisions": 300, "logged": 0}},
    ),
    "propensities for some": Case(
        lambda rows: each(rows.decisions[:100], propensities=None),
        {"propensities": "limited"},
        limited=same("propensities on 200 of 300 decisions", OFF_POLICY, RETENTION),
    ),
    "no exploration": Case(
        lambda rows: each(rows.decisions, propensities=[1.0, 1.0]),
        {"exploration": "unfit"},
        same("no exploration: every slate was certain", OFF_POLICY, RETENTION),
        counts={"exploration": {"open": 300, "drawn": 0}},
    ),
    "little exploration": Case(
        lambda rows: each(rows.decisions[:151], propensities=[1.0, 1.0]),
        {"exploration": "limited"},
        limited=same("151 of 300 slates were certain", OFF_POLICY, RETENTION),
    ),
    "half exploration": Case(lambda rows: each(rows.decisions[:150], propensities=[1.0, 1.0]), {}),
    "only what was shown": Case(
        lambda rows: [row.update(candidates=row["slate"]) for row in rows.decisions],
        {"candidates": "limited"},
        limited={OFF_POLICY: "what else could be shown is known for 0 of 300 decisions: only orders can be valued"},
    ),
    "cut candidates": Case(
        lambda rows: rows.flags.add(CANDIDATES_CUT),
        {"candidates": "limited"},
        limited=same("slates over 500 lost articles without a click", GATE, CALIBRATION),
    ),
    "no positions": Case(
        lambda rows: each(rows.feedback, position=None),
        {"positions": "limited"},
        limited={CALIBRATION: "positions on 0 of 600 impressions"},
    ),
    "slates of one": Case(
        one_article,
        {"decisions": "limited"},
        limited={
            GATE: "every slate is one article: nothing to compare within an impression",
            CALIBRATION: "every slate is one article: nothing tells of examination",
        },
    ),
    "readers seen once": Case(
        lambda rows: split_readers(rows, range(1)),
        {"seen again": "unfit"},
        {RETENTION: "retention cannot be studied: 1 of 296 readers are seen twice"},
        {CALIBRATION: "no law of return: 1 of 296 readers are seen twice"},
        {"seen again": {"readers": 296, "seen_again": 1, "came_back": 1, "visits": 300}},
    ),
    "one visit a reader": Case(
        lambda rows: [row.update(session_id=row["user_id"]) for row in rows.decisions],
        {"seen again": "unfit"},
        {RETENTION: f"retention cannot be studied: {ONE_VISIT}"},
        {CALIBRATION: f"no law of return: {ONE_VISIT}"},
        {"seen again": {"readers": 60, "seen_again": 60, "came_back": 0, "visits": 60}},
    ),
    "one session name for all": Case(
        lambda rows: each(rows.decisions, session_id="s"),
        {"seen again": "unfit"},
        {RETENTION: f"retention cannot be studied: {ONE_VISIT}"},
        {CALIBRATION: f"no law of return: {ONE_VISIT}"},
        {"seen again": {"visits": 60}},
    ),
    "a fifth less one is followed": Case(
        lambda rows: split_readers(rows, range(14)),
        {"seen again": "unfit"},
        {RETENTION: "retention cannot be studied: 14 of 244 readers are seen twice"},
        {CALIBRATION: "no law of return: 14 of 244 readers are seen twice"},
    ),
    "a fifth is followed": Case(
        lambda rows: split_readers(rows, range(15)),
        {"seen again": "limited"},
        limited=same("15 readers who come back are few: expected 40 for an interval", RETENTION, CALIBRATION),
    ),
    "few who come back": Case(
        lambda rows: split_readers(rows, range(39)),
        {"seen again": "limited"},
        limited=same(FEW, RETENTION, CALIBRATION),
    ),
    "enough who come back": Case(lambda rows: split_readers(rows, range(40)), {}),
    "unknown readers": Case(
        lambda rows: rows.flags.add(NO_READER_IDS),
        {"readers": "limited", "seen again": "unfit"},
        {RETENTION: f"retention cannot be studied: {UNKNOWN}"},
        {
            GATE: "readers are unknown: no policy can use what somebody read, each decision passes for a reader",
            CALIBRATION: f"no law of return: {UNKNOWN}",
        },
    ),
    "nobody clicks": Case(
        lambda rows: rows.drop("click"),
        {"click rate": "unfit", "clicks to judge": "unfit"},
        same("nobody clicked anything", RETENTION, OFF_POLICY, CALIBRATION)
        | same(
            "nobody clicked anything; "
            "0 decisions to stop on and 0 readers to judge have a click: expected some of both",
            GATE,
            TEXT,
        ),
    ),
    "everyone clicks": Case(
        everyone_clicks,
        {"click rate": "limited"},
        limited=same("300 of 300 decisions have a click: what nobody clicked was left out", OFF_POLICY, CALIBRATION),
    ),
    "no impressions": Case(
        lambda rows: rows.drop("impression"),
        {"click rate": "limited"},
        limited={CALIBRATION: "impressions are not logged"},
        counts={"click rate": {"clicks": 160, "impressions": 0, "decisions": 300, "with_a_click": 160}},
    ),
    "impressions lost": Case(
        lambda rows: [rows.feedback.remove(row) for row in rows.of("impression")[200:]],
        {"click rate": "limited"},
        limited=same("the click rate is 80.00%, expected 0.05% to 60%", GATE, RETENTION, OFF_POLICY, CALIBRATION),
    ),
    "no clicks to stop on": Case(
        lambda rows: no_clicks_on(rows, 10, 11),
        {"clicks to judge": "unfit"},
        same("0 decisions to stop on and 40 readers to judge have a click: expected some of both", GATE, TEXT),
    ),
    "no clicks to judge": Case(
        lambda rows: no_clicks_on(rows, 12, 14),
        {"clicks to judge": "unfit"},
        same("10 decisions to stop on and 0 readers to judge have a click: expected some of both", GATE, TEXT),
    ),
    "few clicks to judge": Case(
        lambda rows: no_clicks_on(rows, 14),
        {"clicks to judge": "limited"},
        limited=same("20 readers to judge have a click: expected 40 for an interval", GATE, TEXT),
    ),
    "no dwell": Case(
        lambda rows: rows.drop("dwell"),
        {"feedback": "limited"},
        limited=same("no dwell: a good read cannot be told from a bait", RETENTION, CALIBRATION),
    ),
    "no opinions": Case(
        lambda rows: rows.drop("like"),
        {"feedback": "limited"},
        limited={CALIBRATION: "no likes, shares, comments or hides"},
    ),
    "no titles": Case(lambda rows: each(rows.articles, title=None), {"titles": "unfit"}, {TEXT: "no titles"}),
    "a title is missing": Case(
        lambda rows: each(rows.articles[3:], title=" "),
        {"titles": "limited"},
        limited={TEXT: "75.0% of what was shown has a title"},
    ),
    "only an article that nobody saw has a title": Case(
        lambda rows: (each(rows.articles, title=None), rows.articles.append(logs.article("e", title="Unseen"))),
        {"titles": "unfit"},
        {TEXT: "0.0% of what was shown has a title"},
    ),
    "no content": Case(
        lambda rows: each(rows.articles, title=None, category=None, embedding=[0.0, 0.0]),
        {"titles": "unfit"},
        {TEXT: "no titles"},
        same(
            "600 of 600 shown articles have no title, category or embedding: "
            "policies see their age and popularity alone",
            GATE,
            RETENTION,
        ),
    ),
    "vectors for titles": Case(
        lambda rows: each(rows.articles, title=None, category=None, embedding=[0.0, 1.0]),
        {"titles": "unfit"},
        {TEXT: "no titles"},
    ),
    "no clock": Case(
        lambda rows: rows.flags.add(ORDINAL_TIME),
        {"clock": "unfit", "length": "unfit"},
        {RETENTION: "no clock"},
        {
            GATE: "no clock: policies have to be trained with use_time = false",
            CALIBRATION: "no clock: no habits, no law of return",
        },
    ),
    "effects before their cause": Case(
        lambda rows: shift(rows.of("click")[:10], "time", -2 * MINUTE),
        {"clock": "limited"},
        limited=same("10 of 940 events stand before their decision", GATE, RETENTION, CALIBRATION),
    ),
    "few effects before their cause": Case(
        lambda rows: shift(rows.of("click")[:9], "time", -2 * MINUTE),
        {},
        counts={"clock": {"before_their_decision": 9}},
    ),
    "clocks that differ by seconds": Case(lambda rows: shift(rows.of("click"), "time", -30 * SECOND), {}),
    "arrival before the event": Case(
        lambda rows: shift(rows.of("dwell")[:10], "received_at", -2 * MINUTE),
        {"clock": "limited"},
        limited=same("10 of 940 events stand after their arrival", GATE, RETENTION, CALIBRATION),
    ),
    "full hours": Case(
        full_hours,
        {"clock": "limited"},
        limited=same("times are full hours: neither visits nor gaps can be told", RETENTION, CALIBRATION),
    ),
    "no local time": Case(
        lambda rows: each(rows.decisions[:4], context=None),
        {"local time": "limited"},
        limited={CALIBRATION: "the reader's time is known for 296 of 300 decisions: UTC is taken for the others"},
    ),
    "first sight": Case(
        lambda rows: rows.flags.add(FIRST_SIGHT),
        {"publication": "limited"},
        limited={CALIBRATION: "publication is the first sight: how news ages cannot be told"},
    ),
    "published later": Case(
        lambda rows: each(rows.articles[3:], published_at=MONDAY + 20 * DAY),
        {"publication": "limited"},
        limited=same("150 of 600 articles were shown before publication", GATE, CALIBRATION),
    ),
    "arrival not logged": Case(
        lambda rows: [row.update(received_at=row["time"]) for row in rows.feedback],
        {"arrival": "limited"},
        limited={CALIBRATION: "when feedback arrived is not logged"},
    ),
    "late feedback": Case(
        lambda rows: shift(rows.feedback[:100], "received_at", 25 * HOUR),
        {"arrival": "limited"},
        limited=same(
            "10% of the feedback takes over 25.0 hours to arrive: that of the last decisions is missing",
            GATE,
            RETENTION,
            OFF_POLICY,
        ),
        counts={"arrival": {"events": 940, "over_an_hour": 100, "over_a_day": 100}},
    ),
    "some late feedback": Case(lambda rows: shift(rows.feedback[:90], "received_at", 25 * HOUR), {}),
    "decisions twice": Case(
        lambda rows: again(rows.decisions[:4], "request_id", rows.decisions),
        {"duplicates": "limited"},
        limited=same("4 of 304 decisions are there before under another key", GATE, RETENTION, OFF_POLICY, CALIBRATION),
    ),
    "impressions twice": Case(
        lambda rows: again(rows.of("impression")[:7], "event_id", rows.feedback),
        {"duplicates": "limited"},
        limited=same(
            "7 of 607 impressions are there before under another key", GATE, RETENTION, OFF_POLICY, CALIBRATION
        ),
    ),
    "clicks twice": Case(
        lambda rows: again(rows.of("click")[:4], "event_id", rows.feedback),
        {"duplicates": "limited"},
        limited=same(
            "4 of 344 other feedback are there before under another key", GATE, RETENTION, OFF_POLICY, CALIBRATION
        ),
    ),
    "clicks once more, later": Case(
        click_again_later,
        {},
        counts={"duplicates": {"decisions": 0, "impressions": 0, "other_feedback": 0}},
    ),
    "three clicks twice": Case(
        lambda rows: again(rows.of("click")[:3], "event_id", rows.feedback),
        {},
        counts={"duplicates": {"decisions": 0, "impressions": 0, "other_feedback": 3}},
    ),
    "clicks outside the slate are none of it": Case(
        lambda rows: click_elsewhere(rows, 5),
        {},
        counts={"references": {"outside_the_slate": 5}, "click rate": {"clicks": 165, "with_a_click": 160}},
    ),
    "an unknown candidate": Case(
        lambda rows: rows.decisions[0].update(candidates=list("abcdz")),
        {"references": "unfit"},
        same("1 of 1,201 candidates are not in articles.parquet", GATE, RETENTION, OFF_POLICY, TEXT),
    ),
    "unknown requests": Case(
        lambda rows: each(rows.of("dwell")[:10], request_id="gone"),
        {"references": "limited"},
        limited=same("10 of 940 feedback events are on unknown requests", GATE, RETENTION, OFF_POLICY, CALIBRATION),
    ),
    "another reader": Case(
        lambda rows: each(rows.of("dwell")[:10], user_id="eve"),
        {"references": "limited"},
        limited=same("10 of 940 feedback events are of another reader", GATE, RETENTION, OFF_POLICY, CALIBRATION),
    ),
    "not shown": Case(
        lambda rows: like_elsewhere(rows, rows.of("click")[:10]),
        {"references": "limited"},
        limited=same("10 of 950 feedback events are outside the slate", GATE, RETENTION, OFF_POLICY, CALIBRATION),
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_what_is_broken_is_found_and_nothing_else(case: Case) -> None:
    rows = whole()
    case.breaks(rows)
    diagnosis = diagnose(rows.log())
    assert not_fine(diagnosis) == case.found
    for name, counts in case.counts.items():
        assert counts.items() <= finding(diagnosis, name).counts.items()
    unfit = {name: sentence for name, (verdict, sentence) in parts(diagnosis).items() if verdict == "unfit"}
    limited = {name: sentence for name, (verdict, sentence) in parts(diagnosis).items() if verdict == "limited"}
    assert (unfit, limited) == (case.unfit, case.limited)


def lacking(diagnosis: Diagnosis, name: str) -> dict[str, tuple[str, str]]:
    return {cost.part: (cost.verdict, cost.reason) for cost in finding(diagnosis, name).costs}


@pytest.mark.parametrize(
    ("horizon", "watched", "reason"),
    [
        (10, 99, None),
        (11, 80, None),
        (12, 60, "60 of 300 decisions are watched for 12 days"),
        (13, 39, "39 of 300 decisions are watched for 13 days"),
        (15, 0, "the log lasts 14.28 days: a return after 15 cannot be seen"),
    ],
)
def test_the_log_has_to_go_on_for_the_horizon(horizon: float, watched: int, reason: str | None) -> None:
    """The last decision is at 13:46 of the last day; on one day of three one is made later."""
    diagnosis = diagnose(whole().log(), horizon)
    assert finding(diagnosis, "length").counts["watched"] == watched
    assert lacking(diagnosis, "length") == (
        dict.fromkeys((RETENTION, CALIBRATION), ("limited", reason)) if reason else {}
    )
    assert set(not_fine(diagnosis)) == ({"length"} if reason else set())


def test_a_click_in_thousands_of_impressions_is_odd() -> None:
    rows = whole()
    for row in rows.of("click")[1:]:
        rows.feedback.remove(row)
    for number in range(3):
        again(
            [{**row, "event_id": f"{row['event_id']} {number}"} for row in whole().of("impression")],
            "event_id",
            rows.feedback,
        )
    reason = "the click rate is 0.04%, expected 0.05% to 60%"
    expected = dict.fromkeys((GATE, RETENTION, OFF_POLICY, CALIBRATION), ("limited", reason))
    assert lacking(diagnose(rows.log()), "click rate") == expected


def test_a_log_of_hours_has_no_next_day() -> None:
    diagnosis = diagnose(whole(day=HOUR).log())
    assert lacking(diagnosis, "length") == {
        RETENTION: ("unfit", "retention cannot be studied: the log has 20.8 hours, no next day"),
        CALIBRATION: ("limited", "no law of return: the log has 20.8 hours"),
    }


@pytest.mark.parametrize(
    ("start", "now", "dated"),
    [
        (MONDAY - 30 * 365 * DAY, None, "300 of 300"),
        (MONDAY, MONDAY + 13 * DAY, "40 of 300"),
    ],
)
def test_a_clock_that_is_wrong(start: int, now: int | None, dated: str) -> None:
    diagnosis = diagnose(whole(start).log(), now=now)
    assert not_fine(diagnosis) == {"clock": "unfit"}
    reason = f"the clock is wrong: {dated} decisions stand before 2000 or in the future"
    limited = ("limited", reason)
    assert lacking(diagnosis, "clock") == {RETENTION: ("unfit", reason), GATE: limited, CALIBRATION: limited}


@pytest.mark.parametrize(("count", "verdict"), [(1, "unfit"), (39, "limited"), (40, "fine")])
def test_intervals_need_readers(count: int, verdict: str) -> None:
    rows = whole()
    names = {f"u{reader}" for reader in range(count)}
    mine = [[row for row in table if row["user_id"] in names] for table in (rows.decisions, rows.feedback)]
    diagnosis = diagnose(Rows(rows.articles, *mine, set()).log())
    few = (verdict, f"{count} readers are few: expected 40 for an interval")
    assert lacking(diagnosis, "readers") == ({} if verdict == "fine" else dict.fromkeys((GATE, OFF_POLICY), few))


def test_imported_reads_are_no_visits() -> None:
    """Beside decisions they change no count but their own; alone they are a log without decisions."""
    rows, alone = whole(), whole()
    again(rows.decisions[:], "request_id", rows.decisions)
    each(rows.decisions[300:], policy=IMPORTED_POLICY, propensities=None)
    rows.feedback.extend(
        {**row, "event_id": f"old {row['event_id']}", "request_id": f"{row['request_id']} again"}
        for row in whole().of("click")
    )
    counts, expected = ({found.name: found.counts for found in diagnose(log.log()).findings} for log in (rows, whole()))
    assert counts.pop("decisions") == {**expected.pop("decisions"), "imported": 300}
    assert counts == expected
    each(alone.decisions, policy=IMPORTED_POLICY)
    diagnosis = diagnose(alone.log())
    assert not_fine(diagnosis) == {"decisions": "unfit"}
    assert parts(diagnosis) == dict.fromkeys(PARTS, ("unfit", "no decision was logged, only imported reads"))


def test_slates_that_are_all_empty() -> None:
    rows = whole()
    each(rows.decisions, slate=[], propensities=[])
    rows.feedback.clear()
    assert parts(diagnose(rows.log())) == dict.fromkeys(PARTS, ("unfit", "every slate is empty"))


def test_a_log_without_feedback() -> None:
    rows = whole()
    rows.feedback.clear()
    assert not_fine(diagnose(rows.log())) == {
        "click rate": "unfit",
        "clicks to judge": "unfit",
        "feedback": "limited",
        "arrival": "limited",
    }


def test_one_decision_is_a_log() -> None:
    rows = whole()
    del rows.decisions[1:]
    rows.feedback[:] = [row for row in rows.feedback if row["request_id"] == "r0-0"]
    verdicts = {name: verdict for name, (verdict, _) in parts(diagnose(rows.log())).items()}
    expected = {GATE: "unfit", RETENTION: "unfit", OFF_POLICY: "unfit", TEXT: "unfit", CALIBRATION: "limited"}
    assert verdicts == expected


def test_an_empty_log_and_an_impossible_horizon_are_refused() -> None:
    with pytest.raises(InvalidEvents, match="the log is empty: found no recommendation, expected decisions"):
        diagnose(whole().log()._replace(recommendations=whole().log().recommendations.slice(0, 0)))
    for horizon in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(InvalidConfig, match=r"horizon_days is .*, expected more than 0 days"):
            diagnose(whole().log(), horizon)


def test_a_part_is_as_good_as_its_worst_finding_and_gives_each_reason_once() -> None:
    findings = [
        Finding("a", 0, {}, "", costs("limited", "dusty", GATE, TEXT)),
        Finding("b", 0, {}, "", costs("unfit", "broken", GATE) + costs("limited", "dusty", TEXT)),
        Finding("c", 0, {}, "", costs("unfit", "gone", GATE) + costs("limited", "dented", TEXT)),
        Finding("d", 0, {}, ""),
    ]
    diagnosis = sum_up(findings)
    assert [found.verdict for found in diagnosis.findings] == ["limited", "unfit", "unfit", "fine"]
    assert parts(diagnosis) == {
        GATE: ("unfit", "broken; gone"),
        TEXT: ("limited", "dusty; dented"),
        **{name: ("fine", PARTS[name]) for name in (RETENTION, OFF_POLICY, CALIBRATION)},
    }
