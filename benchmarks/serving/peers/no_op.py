"""``no-op``: KServe's V1 server with a model that does nothing."""

import sys
from typing import Any

import kserve

from benchmarks.serving.peers.stock import NAME, serve


class Nothing(kserve.Model):
    async def predict(self, payload: Any, headers: Any = None, response_headers: Any = None) -> dict[str, Any]:
        return {"predictions": []}


if __name__ == "__main__":
    model = Nothing(NAME)
    model.load()
    serve(model, int(sys.argv[1]))
