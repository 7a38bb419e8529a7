"""The import table of docs/design.md, and the few habits that hold everywhere, checked on the syntax trees."""

import ast
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

LAYERS = {
    "0": "files config events",
    "1": "features habit surrogate snapshots catalogue transitions decisions reward dataset slate policy "
    "tombstones database event_tables quarantine own_decisions stopped_experiments erasure event_log assignment "
    "datasets",
    "2": "rl.objectives encoders",
    "3": "baselines rl",
    "4": "registry artifact mixture warm_start releases release_storage deployment",
    "4'": "simulator evaluation monitoring",
    "5": "training search_space ingestion run_start examples judging gating supervision doctor tuning calibration "
    "compare explaining explain_command gate_command report cli",
}
"""The library from the bottom up; in a layer a part may import those to the left of it. A package is one part."""
JUDGES, ALGORITHMS = "4'", "3"
"""Never import each other's parts: the judge does not know the judged, and one algorithm is one file."""
JUDGES_USE = {"monitoring": "evaluation"}
"""What a judge may take from another: intervals and colours are the same for all."""

OUTSIDE = {
    "feature_repo": "newsrec.events newsrec.features newsrec.snapshots newsrec.files newsrec.tombstones",
    "serving": "newsrec.artifact newsrec.mixture newsrec.releases newsrec.release_storage newsrec.transitions "
    "newsrec.catalogue newsrec.encoders newsrec.slate newsrec.assignment newsrec.features newsrec.events "
    "newsrec.event_log newsrec.erasure newsrec.stopped_experiments newsrec.config newsrec.files "
    "newsrec.evaluation.explanation feature_repo.store",
    "components": "newsrec feature_repo.store",
    "pipelines": "newsrec components",
}
"""What each folder beside the library may import of this repository, apart from itself."""
PLATFORM = {"feast": {"feature_repo"}, "kfp": {"components", "pipelines"}, "kserve": {"serving"}}
"""The only folders that import each part of the platform."""
TOP = {"newsrec", *OUTSIDE}

SEEDING = {
    "random.seed",
    "numpy.random.seed",
    "torch.manual_seed",
    "torch.random.manual_seed",
    "torch.seed",
    "torch.cuda.manual_seed",
    "torch.cuda.manual_seed_all",
}
PICKLING = {"pickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "jsonpickle"}
PICKLING_CALLS = {"torch.load", "torch.save", "torch.jit.load", "pandas.read_pickle", "eval", "exec"}
YAML_WITH_OBJECTS = {f"yaml.{load}{whole}" for load in ("load", "unsafe_load", "full_load") for whole in ("", "_all")}


def sources(*folders: str) -> dict[str, ast.Module]:
    """Path from the root -> syntax tree."""
    paths = [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]
    return {str(path.relative_to(ROOT)): parsed(path) for path in paths}


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def module(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def exists(name: str) -> bool:
    path = ROOT / name.replace(".", "/")
    return path.with_suffix(".py").exists() or (path / "__init__.py").exists()


@cache
def imports(tree: ast.AST) -> list[str]:
    """The full name of each imported module, wherever the import stands."""
    return list(_imports(tree))


def _imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"line {node.lineno}: a relative import"
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                yield name if node.module in TOP or exists(name) else node.module


@cache
def calls(tree: ast.AST) -> list[str]:
    """The full name of each function called by its name, as far as imports tell: ``np.load`` is numpy.load."""
    return list(_calls(tree))


def _calls(tree: ast.AST) -> Iterator[str]:
    known: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            known.update({alias.asname: alias.name for alias in node.names if alias.asname})
        elif isinstance(node, ast.ImportFrom):
            known.update({alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names})
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            head, dot, rest = ast.unparse(node.func).partition(".")
            yield known.get(head, head) + dot + rest


def within(name: str, parts: set[str]) -> bool:
    return any(name == part or name.startswith(part + ".") for part in parts)


def place(name: str) -> tuple[str, int, str] | None:
    """Layer, position and part of a module of the library; None for the package itself."""
    if name == "newsrec":
        return None
    name = name.removeprefix("newsrec.")
    for layer, parts in LAYERS.items():
        for position, part in enumerate(parts.split()):
            if within(name, {part}):
                return layer, position, part
    raise AssertionError(f"newsrec.{name} stands in no layer; give it a place in LAYERS and in docs/design.md")


def may_import(importer: str, imported: str) -> bool:
    ours, theirs = place(importer), place(imported)
    if ours is None or theirs is None:
        return False
    layers = list(LAYERS)
    layer, position, part = ours
    if layer == "5":
        return True
    if layer == JUDGES:
        return layers.index(theirs[0]) <= layers.index("2") or theirs[2] in (part, JUDGES_USE.get(part))
    if layer == theirs[0]:
        return layer != ALGORITHMS and theirs[1] <= position
    return layers.index(theirs[0]) < layers.index(layer)


@pytest.mark.parametrize(
    ("importer", "imported", "allowed"),
    [
        ("events", "files", True),
        ("events", "features", False),
        ("dataset", "reward", True),
        ("reward", "dataset", False),
        ("datasets.mind", "datasets.foreign", True),
        ("rl.objectives", "policy", True),
        ("rl.objectives", "rl.dqn", False),
        ("rl.dqn", "rl.objectives", True),
        ("rl.dqn", "rl.imitation", False),
        ("baselines.transformer", "baselines.popularity", False),
        ("registry", "baselines.transformer", True),
        ("registry", "artifact", False),
        ("artifact", "registry", True),
        ("artifact", "warm_start", False),
        ("artifact", "mixture", False),
        ("releases", "mixture", True),
        ("evaluation.ranking", "encoders.text", True),
        ("evaluation.ranking", "artifact", False),
        ("evaluation.ranking", "baselines.popularity", False),
        ("evaluation.ranking", "evaluation.metrics", True),
        ("evaluation.ranking", "simulator.world", False),
        ("monitoring.live_value", "evaluation.intervals", True),
        ("evaluation.intervals", "monitoring.drift", False),
        ("monitoring.drift", "simulator.world", False),
        ("releases", "evaluation.gate", False),
        ("judging", "evaluation.gate", True),
    ],
)
def test_the_table_says(importer: str, imported: str, allowed: bool) -> None:
    assert may_import(f"newsrec.{importer}", f"newsrec.{imported}") is allowed


def test_the_library_imports_from_the_bottom_up() -> None:
    found = {
        f"{path} imports {name}"
        for path, tree in sources("newsrec").items()
        for name in imports(tree)
        if within(name, TOP) and (not within(name, {"newsrec"}) or not may_import(module(path), name))
    }
    assert not found


def test_the_library_has_no_circle() -> None:
    graph = {
        module(path): {name for name in imports(tree) if within(name, {"newsrec"})}
        for path, tree in sources("newsrec").items()
    }
    TopologicalSorter(graph).prepare()  # raises CycleError


def test_the_folders_beside_the_library_import_what_the_table_says() -> None:
    found = {
        f"{path} imports {name}"
        for folder, allowed in OUTSIDE.items()
        for path, tree in sources(folder).items()
        for name in imports(tree)
        if within(name, TOP) and not within(name, {folder, *allowed.split()})
    }
    assert not found


def test_components_import_the_library_inside_their_bodies() -> None:
    found = {
        f"{path} imports {name}"
        for path, tree in sources("components").items()
        for statement in tree.body
        if isinstance(statement, ast.Import | ast.ImportFrom)
        for name in imports(statement)
        if within(name, TOP - {"components"})
    }
    assert not found


@pytest.mark.parametrize("package", PLATFORM)
def test_each_part_of_the_platform_is_imported_in_one_place(package: str) -> None:
    found = {
        f"{path} imports {name}"
        for path, tree in sources(*TOP - PLATFORM[package]).items()
        for name in imports(tree)
        if within(name, {package})
    }
    assert not found


def test_only_training_seeds_what_is_global() -> None:
    trees = sources(*TOP, "scripts", "benchmarks")
    found = {f"{path} calls {name}" for path, tree in trees.items() for name in calls(tree) if name in SEEDING}
    assert {line for line in found if not line.startswith("newsrec/training.py ")} == set()


def test_nothing_that_is_read_can_run_code() -> None:
    """No pickle in any guise, and no YAML or text that makes objects or is run."""
    trees = sources(*TOP, "scripts", "benchmarks")
    found = {f"{path} imports {name}" for path, tree in trees.items() for name in imports(tree) if name in PICKLING}
    found |= {f"{path} calls {name}" for path, tree in trees.items() for name in calls(tree) if name in PICKLING_CALLS}
    served = sources(*TOP)
    found |= {
        f"{path} calls {name}" for path, tree in served.items() for name in calls(tree) if name in YAML_WITH_OBJECTS
    }
    found |= {
        f"{path}, line {node.value.lineno}: allow_pickle"
        for path, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.keyword) and node.arg == "allow_pickle" and ast.unparse(node.value) != "False"
    }
    assert not found


def test_no_error_is_caught_without_a_name_or_forgotten() -> None:
    found = {
        f"{path}, line {node.lineno}"
        for path, tree in sources(*TOP, "scripts", "benchmarks", "tests").items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ExceptHandler)
        and (
            node.type is None
            or (ast.unparse(node.type) in ("Exception", "BaseException") and isinstance(node.body[0], ast.Pass))
        )
    }
    assert not found


def test_the_walk_resolves_names() -> None:
    tree = ast.parse(
        "import numpy as np\nfrom torch import manual_seed as seed\nfrom newsrec import events\n"
        "def f():\n    import newsrec.files\n    from newsrec.slate import draw\n"
        "    np.random.seed(0)\n    seed(1)\n    g().manual_seed(2)\n    torch.load('x')\n"
    )
    assert {"newsrec.events", "newsrec.files", "newsrec.slate", "numpy", "torch"} == set(imports(tree))
    assert set(calls(tree)) == {"numpy.random.seed", "torch.manual_seed", "g().manual_seed", "g", "torch.load"}
