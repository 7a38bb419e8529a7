"""The compiled pipelines: they parse as what a cluster takes, and the graph is the one that the page promises."""

from pathlib import Path

import pytest
import yaml
from google.protobuf import json_format
from kfp.pipeline_spec.pipeline_spec_pb2 import PipelineSpec

from components import IMAGE
from pipelines.compile import PIPELINES, compile_all
from pipelines.training import CPU_LIMIT, MEMORY_LIMIT


@pytest.fixture(scope="module")
def specs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict]:
    directory = tmp_path_factory.mktemp("compiled")
    paths = compile_all(directory)
    assert [path.name for path in paths] == [f"newsrec-{name}.yaml" for name in PIPELINES]
    return {name: yaml.safe_load(path.read_text()) for name, path in zip(PIPELINES, paths, strict=True)}


def tasks_below(spec: dict, dag: dict) -> dict[str, dict]:
    """Every task of ``dag`` and of the sub-graphs in it, by name."""
    found = {}
    for name, task in dag["tasks"].items():
        component = spec["components"][task["componentRef"]["name"]]
        found[name] = task
        if "dag" in component:
            found |= tasks_below(spec, component["dag"])
    return found


def upstream(task: dict) -> set[str]:
    """The tasks that ``task`` waits for, by their outputs or explicitly."""
    found = set(task.get("dependentTasks", []))
    for inputs in task.get("inputs", {}).values():
        for source in inputs.values():
            for output in ("taskOutputArtifact", "taskOutputParameter"):
                if output in source:
                    found.add(source[output]["producerTask"])
    return found


@pytest.mark.parametrize("name", PIPELINES)
def test_parses_as_a_pipeline_spec(specs: dict, name: str) -> None:
    parsed = json_format.ParseDict(specs[name], PipelineSpec())
    assert parsed.pipeline_info.name == f"newsrec-{name}"


def test_an_unknown_field_would_not_parse(specs: dict) -> None:
    with pytest.raises(json_format.ParseError, match="surprise"):
        json_format.ParseDict({**specs["training"], "surprise": 1}, PipelineSpec())


@pytest.mark.parametrize(("name", "source"), [("training", "ingest"), ("simulated-training", "simulate")])
def test_graph(specs: dict, name: str, source: str) -> None:
    spec = specs[name]
    assert set(spec["root"]["dag"]["tasks"]) == {"exit-handler-1", "report"}
    tasks = tasks_below(spec, spec["root"]["dag"])
    assert {source, "features", "materialize", "train", "evaluate", "gate", "publish"} < set(tasks)
    (loop,) = [task for task in tasks if task.startswith("for-loop")]
    (condition,) = [task for task in tasks if task.startswith("condition")]
    assert upstream(tasks["features"]) == {source}
    assert upstream(tasks["materialize"]) == {"features"}
    assert upstream(tasks[loop]) == {"features"}
    assert upstream(tasks["evaluate"]) == {"features", loop}
    assert upstream(tasks["gate"]) == {"evaluate"}
    assert upstream(tasks[condition]) == {"evaluate", "gate"}
    assert tasks[condition]["triggerPolicy"]["condition"].endswith("== 'ship'")
    assert spec["root"]["dag"]["tasks"]["report"]["triggerPolicy"]["strategy"] == "ALL_UPSTREAM_TASKS_COMPLETED"


@pytest.mark.parametrize("name", PIPELINES)
def test_every_container_has_the_image_and_limits(specs: dict, name: str) -> None:
    containers = {n: e["container"] for n, e in specs[name]["deploymentSpec"]["executors"].items()}
    assert len(containers) == 8
    assert {container["image"] for container in containers.values()} == {IMAGE}
    for executor, container in containers.items():
        if executor != "exec-report":
            limits = container["resources"]
            assert (limits["resourceCpuLimit"], limits["resourceMemoryLimit"]) == (CPU_LIMIT, MEMORY_LIMIT), executor
        command = " ".join(container["command"])
        assert "pip install" not in command, executor


@pytest.mark.parametrize("name", PIPELINES)
def test_what_lies_outside_of_the_cache_is_never_cached(specs: dict, name: str) -> None:
    tasks = tasks_below(specs[name], specs[name]["root"]["dag"])
    cached = {n for n, task in tasks.items() if task.get("cachingOptions", {}).get("enableCache")}
    assert {"features", "train", "evaluate"} < cached
    assert not cached & {"materialize", "gate", "publish", "report"}


def test_components_say_at_most_ten_statements() -> None:
    import ast

    for path in (Path(__file__).parents[2] / "components").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef):
                statements = sum(isinstance(inner, ast.stmt) for inner in ast.walk(node)) - 1
                assert statements <= 10, f"{path.name}: {node.name} has {statements}"
