"""``smart``: one predictor that asks Feast's server for the reader alone; the articles are in its memory.

    python -m benchmarks.serving.peers.smart PORT FEAST_URL ARTIFACT ARTICLES

ARTICLES is an .npz of the candidates' features, read once. No logs, one asynchronous call over a connection that stays
open; the slate is the ten highest scores.
"""

import sys
from pathlib import Path
from typing import Any

import aiohttp
import kserve
import numpy as np
import orjson

from benchmarks.serving.peers.repository import READER_REFS
from benchmarks.serving.peers.scoring import Articles, Scorer, asked, columns, reader_of
from benchmarks.serving.peers.stock import NAME, serve

SLATE = 10


class Predictor(kserve.Model):
    def __init__(self, feast: str, scorer: Scorer, articles: Articles) -> None:
        super().__init__(NAME)
        self._url, self._scorer, self._articles = f"{feast}/get-online-features", scorer, articles
        self._session: aiohttp.ClientSession | None = None
        self.load()

    async def predict(self, payload: Any, headers: Any = None, response_headers: Any = None) -> dict[str, Any]:
        user_id, now = asked(payload)
        if self._session is None:
            self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        body = orjson.dumps({"features": READER_REFS, "entities": {"user_id": [user_id]}})
        async with self._session.post(self._url, data=body, headers={"content-type": "application/json"}) as answer:
            answer.raise_for_status()
            found = columns(orjson.loads(await answer.read()))
        reader = reader_of({name: values[0] for name, values in found.items()})
        scores = self._scorer(reader, self._articles, now)
        best = np.argsort(-scores, kind="stable")[: payload["instances"][0].get("k", SLATE)]
        slate = [{"article_id": self._articles.ids[row], "score": float(scores[row])} for row in best.tolist()]
        return {"predictions": [{"slate": slate}]}


def stored(path: Path) -> Articles:
    """What ``save`` wrote."""
    with np.load(path) as read:
        return Articles(read["ids"].tolist(), *(read[name] for name in Articles._fields[1:]))


def save(articles: Articles, path: Path) -> None:
    np.savez(path, **(articles._asdict() | {"ids": np.array(articles.ids)}))


if __name__ == "__main__":
    serve(Predictor(sys.argv[2], Scorer(sys.argv[3]), stored(Path(sys.argv[4]))), int(sys.argv[1]))
