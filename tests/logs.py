"""Small event logs for the tests of features and decisions: built by hand, or drawn by hypothesis."""

from typing import Any

from hypothesis import strategies as st

from newsrec.events import SCHEMAS, EventLog, from_rows, validate
from newsrec.features import HOUR

MINUTE, SECOND = 60_000_000, 1_000_000
MONDAY = 1_704_067_200 * SECOND
"""Midnight, UTC, of Monday 1 January 2024."""


def article(article_id: str, published_at: int = MONDAY, **more: Any) -> dict[str, Any]:
    return {"article_id": article_id, "published_at": published_at, **more}


def decision(request_id: str, user_id: str, time: int, slate: str, candidates: str = "", **more: Any) -> dict[str, Any]:
    """Articles with names of one letter: the slate ``ba`` of the candidates ``abc``."""
    row = {"request_id": request_id, "user_id": user_id, "session_id": "s", "time": time, "policy": "random"}
    return {**row, "slate": list(slate), "candidates": list(candidates or slate), **more}


def event(request_id: str, user_id: str, kind: str, article_id: str | None, time: int, **more: Any) -> dict[str, Any]:
    row = {"request_id": request_id, "user_id": user_id, "kind": kind, "article_id": article_id, "time": time}
    return {"event_id": f"{request_id} {kind} {article_id} {time}", "received_at": time, **row, **more}


def log(articles: list[dict], decisions: list[dict], feedback: list[dict], flags: tuple[str, ...] = ()) -> EventLog:
    rows = {"articles": articles, "recommendations": decisions, "feedback": feedback}
    return EventLog(**{name: validate(from_rows(name, rows[name]), name) for name in SCHEMAS}, flags=frozenset(flags))


@st.composite
def logs(draw: st.DrawFn) -> EventLog:
    """Up to 8 decisions and 25 events of 3 readers and 5 articles within two days, often late, often on full hours."""
    moment = st.integers(0, 48 * 4).map(lambda quarter: MONDAY + quarter * HOUR // 4)
    articles = [article(a, draw(moment)) for a in "abcde"]
    decisions = []
    for number in range(draw(st.integers(1, 8))):
        candidates = draw(st.lists(st.sampled_from("abcde"), min_size=1, max_size=5, unique=True))
        slate = candidates[: draw(st.integers(1, len(candidates)))]
        offset = {"utc_offset_minutes": draw(st.sampled_from([-300, 0, 540]))}
        row = decision(f"r{number}", draw(st.sampled_from("uvw")), draw(moment), "".join(slate), "".join(candidates))
        decisions.append({**row, "context": offset})
    feedback = []
    for number in range(draw(st.integers(0, 25))):
        row = draw(st.sampled_from(decisions))
        kind = draw(st.sampled_from(["impression", "click", "dwell", "like", "leave"]))
        about = None if kind == "leave" else draw(st.sampled_from("abcde"))
        time = row["time"] + draw(st.integers(0, 90)) * MINUTE
        late = draw(st.sampled_from([0, 0, SECOND, 10 * MINUTE, HOUR, 30 * HOUR]))
        more = {"received_at": time + late, "event_id": f"e{number}"}
        if kind == "dwell":
            more["dwell_seconds"] = draw(st.integers(0, 600)) / 4
        feedback.append(event(row["request_id"], row["user_id"], kind, about, time, **more))
    return log(articles, decisions, feedback)
