"""Names of metrics: documented are those that the servers export, and rules and dashboard ask for no others.

``python -m tests.serving.test_metric_names`` prints the table of docs/serving.md.
"""

import importlib
import json
import pkgutil
import re

import yaml
from prometheus_client import REGISTRY

import serving
from tests.conftest import ROOT

MONITORING = ROOT / "manifests" / "monitoring"
_SUFFIXES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}
_OURS = re.compile(r"\b(?:newsrec|request)_[a-z_]+")


def families() -> dict[str, tuple[str, str]]:
    """Name -> (type, what it says) of all that predictor and collector export of their own, and of KServe."""
    for module in pkgutil.iter_modules(serving.__path__):
        if module.name != "__main__":
            importlib.import_module(f"serving.{module.name}")
    found = (family for family in REGISTRY.collect() if _OURS.match(family.name))
    return {family.name: (family.type, family.documentation) for family in found}


def table() -> list[str]:
    """A row for each, by name."""
    return [
        f"| `{name}{'_total' if kind == 'counter' else ''}` | {kind} | {told} |"
        for name, (kind, told) in sorted(families().items())
    ]


def samples() -> set[str]:
    """The names that an expression may ask for."""
    return {name + suffix for name, (kind, _) in families().items() for suffix in _SUFFIXES[kind]}


def test_the_documentation_has_the_very_metrics_that_are_exported() -> None:
    written = (ROOT / "docs" / "serving.md").read_text(encoding="utf-8").splitlines()
    assert [line for line in written if line.startswith(("| `newsrec_", "| `request_"))] == table()


def test_rules_and_dashboard_ask_for_metrics_that_there_are() -> None:
    (rules,) = yaml.safe_load_all((MONITORING / "rules.yaml").read_text(encoding="utf-8"))
    dashboard = json.loads((MONITORING / "dashboard.json").read_text(encoding="utf-8"))
    asked = [rule["expr"] for group in rules["spec"]["groups"] for rule in group["rules"]]
    asked += [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    names = {name for expression in asked for name in _OURS.findall(expression)}
    assert len(asked) > 15
    assert names <= samples()
    assert {"newsrec_stage_seconds_sum", "newsrec_degraded_slates_total", "request_predict_seconds_bucket"} <= names


if __name__ == "__main__":
    print("\n".join(table()))
