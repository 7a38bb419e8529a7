"""What is installed where: the names of the images, and that serving reaches nothing that its image lacks."""

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


def reached(start: str) -> set[str]:
    """Every module that the folder ``start`` imports, and what of ours that imports in turn."""
    paths, found = list((ROOT / start).glob("*.py")), set()
    while paths:
        for name in imports(parsed(paths.pop())):
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
