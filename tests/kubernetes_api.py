"""A Kubernetes API that has one InferenceService, on a port of 127.0.0.1: GET and JSON Patch as Kubernetes answers."""

import copy
import http.server
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jsonpatch
import yaml

TOKEN = "token-of-the-test"
REASONS = {401: "Unauthorized", 403: "Forbidden", 404: "NotFound", 415: "UnsupportedMediaType", 422: "Invalid"}
UNPROCESSABLE = "the server rejected our request due to an error in our request"


class KubernetesApi:
    """``thing`` as it is by now, and what was asked."""

    def __init__(self, thing: dict[str, Any]) -> None:
        self.thing = copy.deepcopy(thing)
        self.asked: list[str] = []
        """Methods, in order."""
        self.refusals: dict[str, tuple[int, str]] = {}
        """Method -> code and message to answer instead."""
        self.before: dict[str, Callable[[], None]] = {}
        """Method -> what happens once, just before the next such request is looked at."""
        self.url = ""

    @property
    def environment(self) -> list[dict[str, Any]]:
        return self.thing["spec"]["predictor"]["containers"][0]["env"]

    @property
    def storage_uri(self) -> str:
        (value,) = (entry["value"] for entry in self.environment if entry["name"] == "STORAGE_URI")
        return value

    def edit(self, uri: str) -> None:
        """Set STORAGE_URI by hand."""
        (entry,) = (entry for entry in self.environment if entry["name"] == "STORAGE_URI")
        entry["value"] = uri

    def answer(self, method: str, path: str, headers: Any, body: bytes) -> tuple[int, dict[str, Any]]:
        self.asked.append(method)
        self.before.pop(method, lambda: None)()
        metadata = self.thing["metadata"]
        mine = f"namespaces/{metadata['namespace']}/inferenceservices/{metadata['name']}"
        if headers["Authorization"] != f"Bearer {TOKEN}":
            return status(401, "Unauthorized")
        if method in self.refusals:
            return status(*self.refusals[method])
        if path != f"/apis/{self.thing['apiVersion']}/{mine}":
            return status(404, f'inferenceservices.serving.kserve.io "{path.rsplit("/", 1)[1]}" not found')
        if method == "PATCH":
            if headers["Content-Type"] != "application/json-patch+json":
                return status(415, f"the body of the request was in an unknown format: {headers['Content-Type']}")
            try:
                self.thing = jsonpatch.apply_patch(self.thing, json.loads(body))
            except jsonpatch.JsonPatchException:
                return status(422, UNPROCESSABLE)
        return 200, self.thing


def status(code: int, message: str) -> tuple[int, dict[str, Any]]:
    reason = REASONS.get(code, "InternalError")
    fields = {"status": "Failure", "message": message, "reason": reason, "details": {}, "code": code}
    return code, {"kind": "Status", "apiVersion": "v1", "metadata": {}, **fields}


@contextmanager
def serving(thing: dict[str, Any]) -> Iterator[KubernetesApi]:
    api = KubernetesApi(thing)

    class Handler(http.server.BaseHTTPRequestHandler):
        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            code, answer = api.answer(self.command, self.path, self.headers, body)
            content = json.dumps(answer, separators=(",", ":")).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_PATCH = _answer

        def log_message(self, *_: object) -> None:
            """``asked`` is the log."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        api.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield api
        finally:
            server.shutdown()
            thread.join()


def write_kubeconfig(path: Path, url: str, token: str = TOKEN) -> Path:
    """What kubectl would use to reach ``url``."""
    context = {"name": "test", "context": {"cluster": "test", "user": "test"}}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "test", "cluster": {"server": url}}],
        "users": [{"name": "test", "user": {"token": token}}],
        "contexts": [context],
        "current-context": "test",
    }
    path.write_text(yaml.safe_dump(config))
    return path
