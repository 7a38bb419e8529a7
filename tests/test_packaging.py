"""What is installed where: the names of the images, and that serving reaches nothing that its image lacks."""

import ast
import re
import tomllib

import pytest

from components import IMAGE
from tests.conftest import ROOT
from tests.test_architecture import exists, imports, parsed, within

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]


def modules(*extras: str) -> set[str]:
    """What the packages that ``extras`` name are imported as."""
    names = {re.split(r"[\[<>=]", requirement)[0] for extra in extras for requirement in EXTRAS[extra]}
    return {name.replace("-", "_") for name in names - {PROJECT["name"]}}


FITTING = ("baselines/als", "baselines/ease", "baselines/lightgcn", "encoders/co_reading", "encoders/fold_in")
"""Files of newsrec that import scipy in what only training calls."""


def at_import(tree: ast.Module) -> list[str]:
    """What is imported with the module, outside functions and not for types alone."""
    return imports(ast.Module([node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)], []))


def reached(start: str) -> set[str]:
    """Every module that the folder ``start`` imports, and what of ours that imports in turn; of FITTING what serves."""
    paths, found = list((ROOT / start).rglob("*.py")), set()
    fitting = {ROOT / "newsrec" / f"{name}.py" for name in FITTING}
    while paths:
        path = paths.pop()
        for name in at_import(parsed(path)) if path in fitting else imports(parsed(path)):
            if name not in found:
                found.add(name)
                if exists(name) and not (ROOT / name.replace(".", "/")).is_dir():
                    paths.append(ROOT / f"{name.replace('.', '/')}.py")
    return found


def test_the_pipelines_image_has_the_version_of_the_project() -> None:
    assert f"{PROJECT['name']}-pipeline:{PROJECT['version']}" == IMAGE


@pytest.mark.parametrize("package", sorted(modules("lab", "pipelines", "dev")))
def test_serving_does_without(package: str) -> None:
    assert not [name for name in reached("serving") if within(name, {package})]


def test_what_is_reached_is_followed_to_the_bottom() -> None:
    assert {"newsrec.artifact", "newsrec.baselines.transformer", "newsrec.files", "torch", "feast"} <= reached(
        "serving"
    )
    assert {"scipy.special", "matplotlib.figure"} <= reached("components")
