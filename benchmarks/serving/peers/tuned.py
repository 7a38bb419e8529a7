"""``tuned``: the same three servers as far as their settings go: asynchronous, two parallel calls, gRPC, no logs.

    python -m benchmarks.serving.peers.tuned PORT FEAST_URL PREDICTOR_GRPC CANDIDATES

The reader and the candidates are asked for in two calls at the same time, over connections that stay open, so that no
row repeats the reader; the predictor gets typed tensors over KServe's V2 gRPC.
"""

import asyncio
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import aiohttp
import kserve
import numpy as np
import orjson
from kserve.predictor_config import PredictorConfig

from benchmarks.serving.peers.repository import ARTICLE_REFS, MORE, READER_REFS
from benchmarks.serving.peers.scoring import BYTES, articles_of, asked, columns, reader_of
from benchmarks.serving.peers.stock import NAME, serve
from newsrec.features import READER_NUMBERS

NUMBERS = [feature.name for feature in READER_NUMBERS]


class Transformer(kserve.Model):
    def __init__(self, feast: str, candidates: list[str]) -> None:
        super().__init__(NAME)
        self._url, self._candidates = f"{feast}/get-online-features", candidates
        self._session: aiohttp.ClientSession | None = None
        self.load()

    async def _ask(self, refs: list[str], key: str, ids: list[str]) -> dict[str, list[Any]]:
        if self._session is None:
            self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        body = orjson.dumps({"features": refs, "entities": {key: ids}})
        async with self._session.post(self._url, data=body, headers={"content-type": "application/json"}) as answer:
            answer.raise_for_status()
            return columns(orjson.loads(await answer.read()))

    async def preprocess(self, payload: Any, headers: Any = None) -> kserve.InferRequest:
        user_id, now = asked(payload)
        reader, offered = await asyncio.gather(
            self._ask(READER_REFS, "user_id", [user_id]), self._ask(ARTICLE_REFS, "article_id", self._candidates)
        )
        one = reader_of({name: values[0] for name, values in reader.items()})
        articles = articles_of(offered)
        more = np.array([offered[name] for name in MORE], np.float32).T
        tensors = {
            "numbers": np.array([[one[name] if one[name] is not None else -1 for name in NUMBERS]], np.float64),
            "now": np.array([now], np.int64),
            "content": articles.content,
            "counts": articles.counts,
            "times": np.stack([articles.published_at, articles.as_of], 1),
            "more": more,
        }
        inputs = [_bytes(name, [one[name] or b""]) for name in BYTES]
        inputs.append(_bytes("article_id", [article.encode() for article in articles.ids]))
        return kserve.InferRequest(NAME, inputs + [_tensor(name, values) for name, values in tensors.items()])

    async def postprocess(self, result: Any, headers: Any = None, response_headers: Any = None) -> dict[str, Any]:
        return {"predictions": result.outputs[0].as_numpy().tolist()}


_TYPES = {"float32": "FP32", "float64": "FP64", "int64": "INT64"}


def _tensor(name: str, values: np.ndarray) -> kserve.InferInput:
    tensor = kserve.InferInput(name, list(values.shape), _TYPES[values.dtype.name])
    tensor.set_data_from_numpy(values, binary_data=True)
    return tensor


def _bytes(name: str, values: Sequence[bytes]) -> kserve.InferInput:
    tensor = kserve.InferInput(name, [len(values)], "BYTES")
    tensor.set_data_from_numpy(np.array(values, np.object_), binary_data=True)
    return tensor


def main(port: int, feast: str, predictor: str, candidates: Path) -> None:
    config = PredictorConfig(predictor_host=predictor, predictor_protocol="grpc-v2")
    serve(Transformer(feast, json.loads(candidates.read_text())), port, predictor_config=config)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3], Path(sys.argv[4]))
