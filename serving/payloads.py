"""Bodies of the V1 and V2 protocols to requests, and answers back; everything wrong is one sentence (InvalidInput)."""

import json
import uuid
from typing import Any

import kserve
import numpy as np
import orjson
from kserve.errors import InvalidInput
from pydantic import ValidationError

from serving.refusals import one_sentence
from serving.schema import Instances, SlateRequest

INPUT, OUTPUT = "request", "response"
"""Names of the V2 tensors: BYTES, one JSON object an element."""


def parsed(payload: Any) -> list[SlateRequest]:
    """The requests of a V1 body. Raises InvalidInput with one sentence."""
    try:
        return Instances.model_validate(payload).instances
    except ValidationError as error:
        raise InvalidInput(one_sentence(error.errors())) from None


def from_json(payload: Any) -> Any:
    """A V1 payload; KServe leaves the body as bytes where the content type is not exactly application/json."""
    if not isinstance(payload, bytes):
        return payload
    try:
        return orjson.loads(payload)
    except orjson.JSONDecodeError as error:
        raise InvalidInput(f"the body is no JSON: {error}") from None


def elements(payload: kserve.InferRequest) -> list[Any]:
    """The JSON objects in the one input of a V2 request."""
    expected = f"expected one input {INPUT!r} of datatype BYTES and shape [n], one JSON object an element"
    if [tensor.name for tensor in payload.inputs] != [INPUT]:
        raise InvalidInput(f"inputs: found {[tensor.name for tensor in payload.inputs]}, {expected}")
    (tensor,) = payload.inputs
    if tensor.datatype != "BYTES":
        raise InvalidInput(f"inputs: found datatype {tensor.datatype}, {expected}")
    try:
        return [orjson.loads(element) for element in tensor.as_numpy().ravel().tolist()]
    except orjson.JSONDecodeError as error:
        raise InvalidInput(f"inputs: an element is no JSON: {error}") from None
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"inputs: {error}; {expected}") from None


def tensor(
    request: kserve.InferRequest, answers: list[dict[str, Any]], model: str, version: str
) -> kserve.InferResponse:
    """``answers`` to a V2 request, in JSON or binary as it asked."""
    data = [json.dumps(answer) for answer in answers]
    output = kserve.InferOutput(OUTPUT, [len(data)], "BYTES")
    output.set_data_from_numpy(np.array(data, np.object_), binary_data=request.use_binary_outputs)
    return kserve.InferResponse(
        request.id or uuid.uuid4().hex,
        model,
        [output],
        version,
        use_binary_outputs=request.use_binary_outputs,
        requested_outputs=request.request_outputs,
    )
