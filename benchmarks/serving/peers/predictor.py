"""The predictor behind ``published`` (REST V1, rows of values) and ``tuned`` (V2 gRPC, tensors): features to scores.

    python -m benchmarks.serving.peers.predictor HTTP_PORT GRPC_PORT ARTIFACT [as-published]

With ``as-published`` logs and garbage collector are as KServe starts.
"""

import sys
from typing import Any

import kserve
import numpy as np

from benchmarks.serving.peers.published import KEYS
from benchmarks.serving.peers.repository import ARTICLE_REFS, READER_REFS
from benchmarks.serving.peers.scoring import BYTES, Articles, Scorer, articles_of, reader_of
from benchmarks.serving.peers.stock import NAME, serve
from benchmarks.serving.peers.tuned import NUMBERS

COLUMNS = [*KEYS, *(ref.partition(":")[2] for ref in (*READER_REFS, *ARTICLE_REFS))]
READER = [ref.partition(":")[2] for ref in READER_REFS]


class Predictor(kserve.Model):
    def __init__(self, scorer: Scorer) -> None:
        super().__init__(NAME)
        self._scorer = scorer
        self.load()

    async def predict(self, payload: Any, headers: Any = None, response_headers: Any = None) -> Any:
        if isinstance(payload, kserve.InferRequest):
            return self._tensors(payload)
        columns = dict(zip(COLUMNS, zip(*payload["instances"], strict=True), strict=True))
        reader = reader_of({name: columns[name][0] for name in READER})
        return {"predictions": self._scorer(reader, articles_of(columns), payload["time"]).tolist()}

    def _tensors(self, request: kserve.InferRequest) -> kserve.InferResponse:
        given = {tensor.name: tensor.as_numpy() for tensor in request.inputs}
        numbers = zip(NUMBERS, given["numbers"][0].tolist(), strict=True)
        reader = {name: value if name == "gap_hours" else int(value) for name, value in numbers}
        reader |= {name: given[name][0] for name in BYTES}
        ids = [name.decode() for name in given["article_id"]]
        published_at, as_of = given["times"].T
        articles = Articles(ids, given["content"], published_at, given["counts"], as_of)
        scores = self._scorer(reader, articles, int(given["now"][0]))
        output = kserve.InferOutput("scores", [len(scores)], "FP32")
        output.set_data_from_numpy(np.asarray(scores), binary_data=True)
        return kserve.InferResponse(request.id, NAME, [output])


if __name__ == "__main__":
    serve(Predictor(Scorer(sys.argv[3])), int(sys.argv[1]), int(sys.argv[2]), "as-published" in sys.argv[4:])
