"""Objects against the schemas of Kubernetes 1.34 and of the custom resources. Unknown kinds and fields are errors.

Kubernetes' own schemas come with the package kubernetes-validate. Those of custom resources are read from the folder
NEWSREC_SCHEMAS, which ``scripts/export-schemas`` fills from a cluster.
"""

import copy
import os
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import yaml
from kubernetes_validate import SchemaNotFoundError, ValidationError

from tests.conftest import ROOT, unavailable
from tests.manifests.objects import Object

KUBERNETES = "1.34"
NEWER = {"InferenceService": ("tracing",)}
"""Fields of a spec that KServe 0.21 knows and the exported CRD may not know yet."""
SERVICE_MONITOR = {
    "type": "object",
    "required": ["apiVersion", "kind", "metadata", "spec"],
    "properties": {
        "apiVersion": {"const": "monitoring.coreos.com/v1"},
        "kind": {"const": "ServiceMonitor"},
        "metadata": {"type": "object"},
        "spec": {
            "type": "object",
            "required": ["selector", "endpoints"],
            "properties": {
                "selector": {
                    "type": "object",
                    "properties": {"matchLabels": {"additionalProperties": {"type": "string"}}},
                },
                "endpoints": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "properties": {
                            "port": {"type": "string"},
                            "path": {"type": "string"},
                            "interval": {"type": "string", "pattern": "^[0-9]+s$"},
                        },
                    },
                },
            },
        },
    },
}
PROMETHEUS_RULE = {
    "type": "object",
    "required": ["apiVersion", "kind", "metadata", "spec"],
    "properties": {
        "apiVersion": {"const": "monitoring.coreos.com/v1"},
        "kind": {"const": "PrometheusRule"},
        "metadata": {"type": "object"},
        "spec": {
            "type": "object",
            "required": ["groups"],
            "properties": {
                "groups": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "required": ["name", "rules"],
                        "properties": {
                            "name": {"type": "string"},
                            "rules": {
                                "type": "array",
                                "items": {
                                    "type": "object",
                                    "required": ["alert", "expr"],
                                    "properties": {
                                        "alert": {"type": "string"},
                                        "expr": {"type": "string"},
                                        "for": {"type": "string", "pattern": "^[0-9]+[mh]$"},
                                        "annotations": {"additionalProperties": {"type": "string"}},
                                    },
                                },
                            },
                        },
                    },
                }
            },
        },
    },
}
OPERATOR = {"ServiceMonitor": SERVICE_MONITOR, "PrometheusRule": PROMETHEUS_RULE}
"""The parts of the Prometheus operator's resources that the manifests use, where its CRDs are not in the folder."""


class Schemas:
    """The schemas of Kubernetes, and those of custom resources in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self._texts = [path.read_text() for path in sorted(folder.rglob("*.yaml"))]
        self._validators: dict[tuple[str, str], jsonschema.Draft202012Validator | None] = {}

    def complaints(self, thing: Object) -> list[str]:
        """What is wrong with ``thing``, a sentence each."""
        try:
            kubernetes_validate.validate(thing, KUBERNETES, strict=True)
        except ValidationError as error:
            return [_sentence(error)]
        except SchemaNotFoundError:
            return self._custom(thing)
        return []

    def _custom(self, thing: Object) -> list[str]:
        key = (thing["apiVersion"], thing["kind"])
        if key not in self._validators:
            schema = self._schema(*key)
            self._validators[key] = schema and jsonschema.Draft202012Validator(strict(schema))
        validator = self._validators[key]
        if validator is None:
            return [f"unknown kind {key[1]} of {key[0]}"]
        known = copy.deepcopy(thing)
        for field in NEWER.get(thing["kind"], ()):
            known["spec"].pop(field, None)
        metadata = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": thing["metadata"]}  # a CRD leaves it open
        return [_sentence(error) for error in validator.iter_errors(known)] + self.complaints(metadata)

    def _schema(self, api_version: str, kind: str) -> dict[str, Any] | None:
        for text in self._texts:
            if f"kind: {kind}\n" in text:
                spec = yaml.load(text, yaml.CSafeLoader)["spec"]
                for version in spec["versions"]:
                    if (f"{spec['group']}/{version['name']}", spec["names"]["kind"]) == (api_version, kind):
                        return version["schema"]["openAPIV3Schema"]
        return OPERATOR.get(kind) if api_version == "monitoring.coreos.com/v1" else None


def find_schemas() -> Schemas:
    """Those of the folder NEWSREC_SCHEMAS, or a skip that says where it was looked for."""
    folder = Path(os.environ.get("NEWSREC_SCHEMAS", ROOT.parent / "shared" / "schemas"))
    if not folder.is_dir():
        reason = f"no schemas of custom resources in {folder}; scripts/export-schemas makes the folder, and"
        unavailable("schemas", f"{reason} NEWSREC_SCHEMAS names it")
    return Schemas(folder)


def strict(schema: Any) -> Any:
    """A structural schema in which an object has the listed properties and no others, as ``kubectl`` enforces it."""
    if isinstance(schema, list):
        return [strict(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: strict(value) for key, value in schema.items()}
    if isinstance(schema.get("properties"), dict) and schema.get("type") == "object":
        open_ended = schema.get("x-kubernetes-preserve-unknown-fields") or "additionalProperties" in schema
        closed.setdefault("additionalProperties", bool(open_ended))
    if schema.get("nullable") and isinstance(schema.get("type"), str):
        closed["type"] = [schema["type"], "null"]
    return closed


def _sentence(error: jsonschema.ValidationError) -> str:
    return f"{'.'.join(map(str, error.path))}: {error.message[:300]}"
