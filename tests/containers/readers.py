"""Readers of a site in containers: they ask for slates, report clicks, and keep asking during a restart."""

import re
import threading
import time
import uuid
from typing import Any, NamedTuple, Self

import httpx
import pyarrow as pa
import pyarrow.compute as pc

from newsrec.events import microseconds
from newsrec.features import HOUR
from tests.containers.site import Site, base_url, wait_for
from tests.containers.training import Trained

MINUTE = 60_000_000
SHELF_LIFE = 72 * HOUR
PREDICT = "/v1/models/newsrec:predict"


class Reader(NamedTuple):
    """One reader at ``moment``, a minute after the end of the log."""

    user_id: str
    moment: int
    fresh: set[str]
    """Articles that have not expired."""
    read: set[str]
    """Fresh articles that this reader clicked in the log; at least one."""

    def ask(self, site: Site, k: int = 100) -> dict[str, Any]:
        """The answer to a request for a slate of all that is left, once it is in the event log."""
        answer = httpx.post(base_url(site.predictors[0]) + PREDICT, json=self.request(k), timeout=30)
        assert answer.status_code == 200, answer.text
        wait_for(lambda: waiting_slates(site) == 0)
        (prediction,) = answer.json()["predictions"]
        return prediction

    def request(self, k: int) -> dict[str, Any]:
        return {"instances": [{"user_id": self.user_id, "time": self.moment, "k": k}]}

    def click(self, site: Site, prediction: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """Report a click on the first article: the article and the collector's answer."""
        event = {"event_id": uuid.uuid4().hex, "request_id": prediction["request_id"], "user_id": self.user_id}
        event |= {"article_id": articles(prediction)[0], "position": 0, "kind": "click", "time": self.moment}
        answer = httpx.post(base_url(site.collector) + "/v1/feedback", json={"events": [event]}, timeout=30)
        assert answer.status_code == 200, answer.text
        return event["article_id"], answer.json()


def waiting_slates(site: Site) -> float:
    """Slates of the first predictor that are not in the event log yet."""
    metrics = httpx.get(f"{base_url(site.predictors[0])}/metrics", timeout=30).text
    (waiting,) = re.findall(r"^newsrec_slates_waiting (\S+)$", metrics, re.MULTILINE)
    return float(waiting)


def busiest(trained: Trained, place: int) -> Reader:
    """The reader with the most clicks on articles that have not expired, or the one in that ``place`` after it."""
    log = trained.log
    moment = trained.release.data_until + MINUTE
    ids, published = log.articles["article_id"].to_pylist(), microseconds(log.articles["published_at"]).tolist()
    fresh = {a for a, time in zip(ids, published, strict=True) if moment - SHELF_LIFE < time <= moment}
    clicked = log.feedback.filter(pc.equal(log.feedback["kind"], "click"))
    clicked = clicked.filter(pc.is_in(clicked["article_id"], pa.array(sorted(fresh))))
    counted = clicked.group_by("user_id").aggregate([("article_id", "count")])
    order = counted.sort_by([("article_id_count", "descending"), ("user_id", "ascending")])
    user_id = order["user_id"][place].as_py()
    read = set(clicked.filter(pc.equal(clicked["user_id"], user_id))["article_id"].to_pylist())
    return Reader(user_id, moment, fresh, read)


def articles(prediction: dict[str, Any]) -> list[str]:
    return [item["article_id"] for item in prediction["slate"]]


class Crowd:
    """Threads that ask the predictors at ``urls`` in turn, all the time, from entering the block to leaving it.

    Stands for the Service before the pods: ``urls`` is what is in rotation.
    """

    def __init__(self, urls: list[str], request: dict[str, Any], threads: int = 3) -> None:
        self.urls, self.answered, self.failures = urls, 0, []
        self._request, self._lock, self._left = request, threading.Lock(), threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(number,)) for number in range(threads)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._left.set()
        for thread in self._threads:
            thread.join()

    def _ask(self, turn: int) -> None:
        with httpx.Client(timeout=30) as client:
            while not self._left.is_set():
                turn += 1
                url = self.urls[turn % len(self.urls)] + PREDICT
                try:
                    answer = client.post(url, json=self._request)
                    failure = None if answer.status_code == 200 else f"{url}: {answer.status_code} {answer.text}"
                except httpx.TransportError as error:
                    failure = f"{url}: {error!r}"
                with self._lock:
                    self.answered += failure is None
                    self.failures += [failure] if failure else []
                time.sleep(0.01)
