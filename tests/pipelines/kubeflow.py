"""A stand-in for the API server of Kubeflow Pipelines: the routes of v2beta1 that are used here, over HTTP.

It is as strict as the server (backend/api/v2beta1/*.proto, backend/src/apiserver): unknown fields are refused,
pipelines must parse, parameters must be the pipeline's. What runs then do is for the test to say.
"""

import itertools
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlparse

from google.protobuf import json_format
from kfp.pipeline_spec.pipeline_spec_pb2 import PipelineSpec, PlatformSpec

Answer = tuple[int, Any]
INPUTS = {
    "experiment": {"display_name", "description", "namespace"},
    "run": {"experiment_id", "display_name", "description", "pipeline_spec", "runtime_config", "service_account"},
}
INPUTS["recurring_run"] = INPUTS["run"] | {"max_concurrency", "trigger", "mode", "no_catchup"}
TRIGGER = {"cron_schedule": {"cron", "start_time", "end_time"}}
INVALID_ARGUMENT, NOT_FOUND = 3, 5


class Refused(Exception):
    """A request that the server answers with 400."""


class Kubeflow:
    """State and behaviour of the server. ``fails`` maps requests, such as ``POST /apis/v2beta1/runs``, to answers."""

    def __init__(self) -> None:
        self.experiments: dict[str, dict] = {}
        self.runs: dict[str, dict] = {}
        self.recurring: dict[str, dict] = {}
        self.requests: list[str] = []
        self.fails: dict[str, Answer] = {}
        self.scripts: dict[str, Iterator[dict | Answer]] = {}
        """Pipeline -> what each further look at a run of it finds: fields that changed, or a failing answer."""
        self.ids = itertools.count(1)
        self.host = ""

    def answer(self, method: str, path: str, query: dict[str, str], body: dict) -> Answer:
        self.requests.append(f"{method} {path}")
        if failing := self.fails.get(f"{method} {path}"):
            return failing
        match method, path.removeprefix("/apis/v2beta1/").split("/"):
            case "GET", ["healthz"]:
                return 200, {"commit_sha": "unknown", "tag_name": "2.17.0", "multi_user": False}
            case "GET", ["experiments"]:
                return 200, {"experiments": self.named(query["filter"])}
            case "POST", ["experiments"]:
                checked(body, "experiment")
                return 200, self.keep(self.experiments, "experiment_id", body)
            case "POST", ["runs"]:
                self.check_pipeline(body, "run")
                return 200, self.keep(self.runs, "run_id", {**body, "state": "PENDING"})
            case "GET", ["runs"]:
                runs = [run for run in self.runs.values() if run["experiment_id"] == query["experiment_id"]]
                assert query["sort_by"] == "created_at desc"
                runs.sort(key=lambda run: run["created_at"], reverse=True)
                listed = [{**run, "run_details": None} for run in runs[: int(query["page_size"])]]
                return 200, {"runs": listed, "total_size": len(runs)}
            case "GET", ["runs", run_id]:
                return self.look(self.runs[run_id]) if run_id in self.runs else missing("Run", run_id)
            case "POST", ["recurringruns"]:
                self.check_pipeline(body, "recurring_run")
                check_schedule(body)
                status = {"ENABLE": "ENABLED", "DISABLE": "DISABLED"}[body["mode"]]
                body["max_concurrency"] = str(body["max_concurrency"])  # 64 bits are a text in JSON
                return 200, self.keep(self.recurring, "recurring_run_id", {**body, "status": status})
            case "GET", ["recurringruns"]:
                return 200, self.page(query)
            case "DELETE", ["recurringruns", run_id]:
                return (200, {}) if self.recurring.pop(run_id, None) else missing("Job", run_id)
        return 404, "Not Found"

    def named(self, filter_text: str) -> list[dict]:
        (predicate,) = json.loads(filter_text)["predicates"]
        assert (predicate["operation"], predicate["key"]) == (1, "display_name")
        return [found for found in self.experiments.values() if found["display_name"] == predicate["stringValue"]]

    def keep(self, among: dict[str, dict], key: str, body: dict) -> dict:
        number = next(self.ids)
        found = {**body, key: f"{key[:-3]}-{number}", "created_at": f"2026-03-01T04:{number:02}:00Z"}
        among[found[key]] = found
        return found

    def page(self, query: dict[str, str]) -> dict:
        """One recurring run a page, whatever was asked for: the server may return fewer."""
        found = [run for run in self.recurring.values() if run["experiment_id"] == query["experiment_id"]]
        start = int(query.get("page_token") or 0)
        following = str(start + 1) if start + 1 < len(found) else ""
        return {"recurringRuns": found[start : start + 1], "total_size": len(found), "next_page_token": following}

    def look(self, run: dict) -> Answer:
        name = run["pipeline_spec"]["pipeline_spec"]["pipelineInfo"]["name"]
        change = next(self.scripts.get(name, iter(())), {})
        if isinstance(change, tuple):
            return change
        run.update(change)
        return 200, run

    def check_pipeline(self, body: dict, kind: str) -> None:
        checked(body, kind)
        if body["experiment_id"] not in self.experiments:
            raise Refused(f"Experiment {body['experiment_id']} not found")
        documents = body["pipeline_spec"]
        if documents.keys() != {"pipeline_spec", "platform_spec"}:
            raise Refused(f"pipeline_spec has {sorted(documents)}")
        json_format.ParseDict(documents["platform_spec"], PlatformSpec())
        json_format.ParseDict(documents["pipeline_spec"], PipelineSpec())
        declared = documents["pipeline_spec"]["root"]["inputDefinitions"]["parameters"]
        given = body["runtime_config"]["parameters"]
        if given.keys() != declared.keys():
            raise Refused(f"parameters differ from the pipeline's: {sorted(given.keys() ^ declared.keys())}")


def checked(body: dict, kind: str) -> None:
    if unknown := body.keys() - INPUTS[kind]:
        raise Refused(f"unknown field {sorted(unknown)}")


def check_schedule(body: dict) -> None:
    if not 1 <= body["max_concurrency"] <= 10:
        raise Refused("The max concurrency of the recurring run is out of range")
    (kind,) = body["trigger"]
    if body["trigger"][kind].keys() - TRIGGER[kind]:
        raise Refused("unknown field in the trigger")
    if len(body["trigger"][kind]["cron"].split()) not in (5, 6):
        raise Refused("Schedule cron is not a supported format(https://godoc.org/github.com/robfig/cron)")


def missing(kind: str, key: str) -> Answer:
    return 404, {"error": f"{kind} {key} not found", "code": NOT_FOUND, "message": f"{kind} {key} not found"}


@contextmanager
def serving(kubeflow: Kubeflow) -> Iterator[Kubeflow]:
    """``kubeflow`` on a free port of 127.0.0.1."""

    class Handler(BaseHTTPRequestHandler):
        def respond(self) -> None:
            address = urlparse(self.path)
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else {}
            query = {name: values[0] for name, values in parse_qs(address.query).items()}
            try:
                status, answer = kubeflow.answer(self.command, address.path, query, body)
            except (Refused, json_format.ParseError) as error:
                status, answer = 400, {"code": INVALID_ARGUMENT, "message": str(error)}
            text = answer if isinstance(answer, str) else json.dumps(answer)
            self.send_response(status)
            self.send_header("Content-Type", "text/html" if isinstance(answer, str) else "application/json")
            self.end_headers()
            self.wfile.write(text.encode())

        do_GET = do_POST = do_DELETE = respond

        def log_message(self, *arguments: object) -> None:
            """Nothing: the test's output is the test's."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    kubeflow.host = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield kubeflow
    finally:
        server.shutdown()
        server.server_close()


def task(name: str, state: str, seconds: int = 0, **more: Any) -> dict:
    """A task's details as the server has them; ``seconds`` 0 for one that has not ended (1970, as the server says)."""
    start, end = "2026-03-01T04:00:00Z", f"2026-03-01T04:00:{seconds:02}Z" if seconds else "1970-01-01T00:00:00Z"
    number = more.pop("number", 0)
    times = {"start_time": start, "end_time": end}
    return {"task_id": re.sub(r"\W", "-", f"{name}-{number}"), "display_name": name, "state": state, **times, **more}


def details(*tasks: dict) -> dict:
    return {"run_details": {"task_details": list(tasks)}}
