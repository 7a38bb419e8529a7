"""What /openapi.json of predictor and collector says: the bodies, answers, limits and refusals that are.

KServe reads the body of its V1 routes by hand, so that FastAPI cannot know it, takes any tensors in its V2 route, and
FastAPI announces refusals in a form that is not ours. What a schema cannot say, such as a limit in bytes, a description
says.
"""

from collections.abc import Mapping
from typing import Any, Literal

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel, ConfigDict, Field
from pydantic.json_schema import models_json_schema

from serving.schema import MAX_BODY_BYTES, Instances, SlateRequest

Document = dict[str, Any]
REFUSALS = {
    400: "The request is not what is expected.",
    401: "The bearer token is missing or another one, where the server was started with one.",
    404: "There is no such model, version or article.",
    405: "This server does not do that.",
    413: f"The body is longer than {MAX_BODY_BYTES:,} bytes.",
    503: "Not now: overload, a release that does not fit the store, an event log that does not answer.",
}
_EVENTS = "A CloudEvent is answered with one, which has this as its data."
_ASKED = (400, 404, 413, 503)
PREDICTOR: dict[str, tuple[int, ...]] = {
    "/v1/models/{model_name}": (404, 503),
    "/v1/models/{model_name}:predict": _ASKED,
    "/v1/models/{model_name}:explain": _ASKED,
    "/v2/health/ready": (503,),
    "/v2/models/{model_name}": (404,),
    "/v2/models/{model_name}/ready": (404, 503),
    "/v2/models/{model_name}/infer": _ASKED,
    "/v2/repository/models/{model_name}/load": (401, 404, 503),
    "/v2/repository/models/{model_name}/unload": (401, 405),
}
"""How each route refuses."""
COLLECTOR: dict[str, tuple[int, ...]] = {
    "/v1/feedback": (400, 401, 413, 503),
    "/v1/articles": (400, 401, 413, 503),
    "/v1/articles/{article_id}": (400, 401, 404, 503),
    "/healthz": (503,),
}


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Refusal(_Answer):
    """What every refusal says."""

    error: str = Field(min_length=1, pattern=r"^[^\n]+$", description="One sentence: what was found and expected.")


class Shown(_Answer):
    """An article of a slate."""

    article_id: str
    score: float
    propensity: float = Field(gt=0, le=1, description="Of this article here, given the ones above it.")
    position: int = Field(ge=0)


class Prediction(_Answer):
    """A slate. ``degraded`` is there where it was made without the reader's features."""

    request_id: str
    user_id: str
    slate: list[Shown]
    policy: str
    policy_version: str
    feature_version: str
    cold: bool
    degraded: Literal[True] = True


class Predictions(_Answer):
    predictions: list[Prediction]


class Read(_Answer):
    """An earlier read; ``article_id`` is null where the catalogue no longer has the article."""

    article_id: str | None
    time: int = Field(description="Microseconds since 1970.")
    dwell_seconds: float
    weight: float = Field(description="Its part in the article's score.")
    share: float = Field(ge=-1, le=1, description="Of all weights, whatever their signs.")


class Driven(Shown):
    """An article of a slate with the reads that drove it; ``weight`` is the sum over all reads."""

    weight: float
    driven_by: list[Read]


class Explanation(_Answer):
    """``reason`` says why no read drove the slate, where ``method`` is null."""

    user_id: str
    policy: str
    policy_version: str
    feature_version: str
    reads: int
    method: Literal["integrated_gradients", "leave_one_out"] | None
    reason: str | None
    slate: list[Driven]
    degraded: Literal[True] = True


class Explanations(_Answer):
    explanations: list[Explanation]


def describe(app: FastAPI, refusals: Mapping[str, tuple[int, ...]]) -> None:
    """Give ``app`` the document of its routes, those in ``refusals``, once all are there."""

    def document() -> Document:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app, refusals)
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]


def _document(app: FastAPI, refusals: Mapping[str, tuple[int, ...]]) -> Document:
    document = get_openapi(title=app.title, version=app.version, routes=app.routes)
    models: list[type[BaseModel]] = [Refusal]
    predicts = "/v1/models/{model_name}:predict" in document["paths"]
    if predicts:
        models += [Instances, SlateRequest, Predictions, Explanations]
    told = models_json_schema([(model, "validation") for model in models], ref_template="#/components/schemas/{model}")
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    schemas |= told[1]["$defs"]
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    for path, methods in document["paths"].items():
        for operation in methods.values():
            operation["responses"].pop("422", None)
            for status in refusals.get(path, ()):
                operation["responses"][str(status)] = _answer(REFUSALS[status], "Refusal")
    document["paths"]["/metrics"]["get"]["responses"]["200"]["content"] = {"text/plain": {"schema": {"type": "string"}}}
    if predicts:
        _describe_predictor(document)
    return document


def _describe_predictor(document: Document) -> None:
    document["paths"].pop("/v2/models/{model_name}/versions/{model_version}/ready", None)  # there are no versions
    document["paths"]["/v2/repository/models/{model_name}/unload"]["post"]["responses"].pop("200")  # nobody may
    for verb, answer in (("predict", "Predictions"), ("explain", "Explanations")):
        operation = document["paths"][f"/v1/models/{{model_name}}:{verb}"]["post"]
        operation["requestBody"] = {"required": True, "content": _json("Instances")}
        operation["responses"]["200"] = _answer("One for each instance, in their order. " + _EVENTS, answer)
    infer = document["paths"]["/v2/models/{model_name}/infer"]["post"]
    element = {
        "type": "string",
        "contentMediaType": "application/json",
        "contentSchema": {"$ref": "#/components/schemas/SlateRequest"},
    }
    document["components"]["schemas"]["InferenceRequest"] = {
        "type": "object",
        "required": ["inputs"],
        "properties": {
            "id": {"type": ["string", "null"]},
            "inputs": {"type": "array", "minItems": 1, "maxItems": 1, "items": _tensor("request", element)},
        },
    }
    document["components"]["schemas"]["InferenceResponse"] = {
        "type": "object",
        "required": ["id", "model_name", "model_version", "outputs"],
        "properties": {
            "id": {"type": "string"},
            "model_name": {"type": "string"},
            "model_version": {"type": "string"},
            "outputs": {
                "type": "array",
                "minItems": 1,
                "maxItems": 1,
                "items": _tensor("response", element | {"contentSchema": {"$ref": "#/components/schemas/Prediction"}}),
            },
        },
    }
    for unused in ("RequestInput", "RequestOutput"):
        document["components"]["schemas"].pop(unused, None)
    infer["parameters"] = [one for one in infer["parameters"] if one["name"] != "model_version"]
    infer["requestBody"] = {"required": True, "content": _json("InferenceRequest")}
    infer["responses"]["200"] = _answer("An element for each of the request. " + _EVENTS, "InferenceResponse")


def _tensor(name: str, element: Document) -> Document:
    return {
        "type": "object",
        "required": ["name", "shape", "datatype", "data"],
        "properties": {
            "name": {"const": name},
            "datatype": {"const": "BYTES"},
            "shape": {"type": "array", "minItems": 1, "maxItems": 1, "items": {"type": "integer", "minimum": 1}},
            "data": {"type": "array", "minItems": 1, "maxItems": 100, "items": element},
        },
    }


def _json(model: str) -> Document:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{model}"}}}


def _answer(description: str, model: str) -> Document:
    return {"description": description, "content": _json(model)}
