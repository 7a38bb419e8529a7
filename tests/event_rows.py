"""Rows of the event schema with every required column, for tests to vary. Imports nothing: workers start fast."""

NOON = 1_700_000_000_000_000


def recommendation(request_id: str, user_id: str = "ann", **more: object) -> dict:
    row = {"request_id": request_id, "user_id": user_id, "session_id": "s", "time": NOON, "policy": "popularity"}
    return row | {"candidates": ["a", "b", "c"], "slate": ["b", "a"], "propensities": [0.5, 0.25]} | more


def event(event_id: str, request_id: str = "r", user_id: str = "ann", **more: object) -> dict:
    row = {"event_id": event_id, "request_id": request_id, "user_id": user_id, "article_id": "b", "position": 0}
    return row | {"kind": "click", "time": NOON + 5} | more


def article(article_id: str, **more: object) -> dict:
    return {"article_id": article_id, "published_at": NOON} | more
