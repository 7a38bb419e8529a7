"""``published``: the transformer of KServe's own Feast sample (docs/samples/v1beta1/transformer/feast), two entities.

    python -m benchmarks.serving.peers.published PORT FEAST_URL PREDICTOR CANDIDATES

As there: a synchronous ``preprocess`` asks Feast's server by ``requests.post`` for all features of all rows, one row a
candidate, and sends rows of values to a predictor over REST V1, whose answer passes through. Logs are as KServe and the
sample have them: at INFO, with the features; the garbage collector is left alone.
"""

import json
import logging
import sys
from pathlib import Path
from typing import Any

import kserve
import requests
from kserve.predictor_config import PredictorConfig

from benchmarks.serving.peers.repository import ARTICLE_REFS, READER_REFS
from benchmarks.serving.peers.scoring import asked
from benchmarks.serving.peers.stock import NAME, serve

KEYS = ["user_id", "article_id"]


class Transformer(kserve.Model):
    def __init__(self, feast: str, candidates: list[str]) -> None:
        super().__init__(NAME)
        self._url, self._candidates = f"{feast}/get-online-features", candidates
        self.refs = [*READER_REFS, *ARTICLE_REFS]
        self.load()

    def preprocess(self, payload: Any, headers: Any = None) -> dict[str, Any]:
        reader, now = asked(payload)
        entities = {"user_id": [reader] * len(self._candidates), "article_id": self._candidates}
        body = json.dumps({"features": self.refs, "entities": entities, "full_feature_names": True})
        sent = {"Content-type": "application/json", "Accept": "application/json"}
        for what, told in (("url", self._url), ("headers", sent), ("body", body)):
            logging.info("feast request %s %s", what, told)
        answer = requests.post(self._url, data=body, headers=sent, timeout=60)
        logging.info("feast response status is %s", answer.status_code)
        logging.info("feast response headers %s", answer.headers)
        features = answer.json()
        logging.info("feast response body %s", features)
        names = features["metadata"]["feature_names"]
        wanted = [names.index(name) for name in (*KEYS, *(ref.replace(":", "__") for ref in self.refs))]
        values = [features["results"][at]["values"] for at in wanted]
        request = {"instances": [list(row) for row in zip(*values, strict=True)], "time": now}
        logging.info("the input of the predictor is %s", request)
        return request

    def postprocess(self, result: Any, headers: Any = None, response_headers: Any = None) -> Any:
        logging.info("the output of the predictor is %s", result)
        return result


def main(port: int, feast: str, predictor: str, candidates: Path) -> None:
    logging.basicConfig(level=logging.INFO)
    config = PredictorConfig(predictor_host=predictor, predictor_protocol="v1")
    serve(Transformer(feast, json.loads(candidates.read_text())), port, as_published=True, predictor_config=config)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3], Path(sys.argv[4]))
