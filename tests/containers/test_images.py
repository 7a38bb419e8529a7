"""What is in the images, and what is not."""

import json
import re
import runpy
import subprocess

import docker
import pytest

from components import IMAGE
from newsrec.features import feature_hash
from pipelines.submission import code_digest
from tests.conftest import ROOT
from tests.containers.hardened import HARDENED, IMAGE_USER
from tests.containers.site import SERVING_IMAGE
from tests.pipelines.kubeflow import Kubeflow, serving

pytestmark = [pytest.mark.containers, pytest.mark.timeout(1_200)]  # whichever is first builds the images

INSPECTION = """
import importlib.util, json, os, pathlib, pwd, shutil, sysconfig
packages = pathlib.Path(sysconfig.get_paths()["purelib"])
modules = "boto3 components docker feast gymnasium kfp kserve matplotlib newsrec onnxruntime pipelines pytest scipy"
modules += " serving torch"
sources = [path for root in (packages, pathlib.Path("/app")) for path in root.rglob("*.py")]
compiled = [pathlib.Path(importlib.util.cache_from_source(path)).exists() for path in sources]
print(json.dumps({
    "user": [os.getuid(), os.getgid(), pwd.getpwuid(os.getuid()).pw_name, os.environ["HOME"]],
    "tools": [tool for tool in ("cc", "gcc", "g++", "clang", "ld", "make", "git") if shutil.which(tool)],
    "modules": [name for name in modules.split() if importlib.util.find_spec(name)],
    "compiled": sum(compiled) / len(compiled),
    "writable": [path for path in ("/app", "/opt/newsrec", "/usr", "/etc", "/tmp") if os.access(path, os.W_OK)],
    "cuda": __import__("torch").version.cuda,
}))
"""
MODULES = {
    IMAGE: [
        "components",
        "feast",
        "gymnasium",
        "kfp",
        "matplotlib",
        "newsrec",
        "onnxruntime",
        "pipelines",
        "scipy",
        "torch",
    ],
    SERVING_IMAGE: ["feast", "kserve", "newsrec", "onnxruntime", "serving", "torch"],
}
GIGABYTES = {IMAGE: 2.2, SERVING_IMAGE: 1.9}


def run(engine: docker.DockerClient, image: str, *arguments: str) -> str:
    settings = {**HARDENED, "network_mode": "none", "entrypoint": "python3", "remove": True}
    return engine.containers.run(image, [*arguments], **settings).decode()


@pytest.mark.parametrize("image", MODULES)
def test_an_image_holds_what_it_runs_and_nothing_to_build_or_write_with(
    engine: docker.DockerClient, images: None, image: str
) -> None:
    found = json.loads(run(engine, image, "-c", INSPECTION))
    assert found["user"] == [IMAGE_USER, IMAGE_USER, "newsrec", "/tmp"]
    assert found["modules"] == MODULES[image]
    assert found["tools"] == []
    assert found["writable"] == ["/tmp"]
    assert found["compiled"] > 0.99  # pip leaves out files that are templates
    assert found["cuda"] is None


@pytest.mark.parametrize("image", MODULES)
def test_an_image_has_the_code_of_this_tree(engine: docker.DockerClient, images: None, image: str) -> None:
    code = "from newsrec.features import feature_hash; print(feature_hash())"
    assert run(engine, image, "-c", code).strip() == feature_hash()


@pytest.mark.parametrize("image", MODULES)
def test_an_image_says_what_it_is_and_is_no_larger_than_it_must_be(
    engine: docker.DockerClient, images: None, image: str
) -> None:
    found = engine.images.get(image)
    labels = {name.removeprefix("org.opencontainers.image."): value for name, value in found.labels.items()}
    assert labels["title"] == image.partition(":")[0].replace("-", " ")
    assert labels["version"] == image.partition(":")[2]
    assert labels["licenses"] == "Apache-2.0"
    assert found.attrs["Size"] < GIGABYTES[image] * 1e9


@pytest.mark.parametrize("image", MODULES)
def test_an_image_says_which_commit_it_is_of(engine: docker.DockerClient, images: None, image: str) -> None:
    commit = engine.images.get(image).labels["org.opencontainers.image.revision"]
    assert run(engine, image, "-c", "import os; print(os.environ['NEWSREC_COMMIT'])").strip() == commit
    if (ROOT / ".git").exists():
        git = ["git", "-C", ROOT, "merge-base", "--is-ancestor", commit.removesuffix("-dirty"), "HEAD"]
        subprocess.run(git, check=True)  # HEAD itself, unless somebody commits while the tests run
    else:
        assert commit == "unknown"


def test_the_pipelines_image_schedules_the_daily_run(engine: docker.DockerClient, images: None) -> None:
    """As the Job in the manifests does; with this tree's digest of the code, hence with the cache keys of its runs."""
    with serving(Kubeflow()) as kubeflow:
        options = [f"--host={kubeflow.host}", "--cluster=/app/configs/clusters/kind.toml"]
        settings = {**HARDENED, "network_mode": "host", "remove": True}
        engine.containers.run(IMAGE, ["python3", "-m", "pipelines", "schedule", *options], **settings)
    (scheduled,) = kubeflow.recurring.values()
    assert scheduled["runtime_config"]["parameters"]["code"] == code_digest()


def test_the_build_takes_the_torch_that_its_argument_names(images: None) -> None:
    """Asked for CUDA it finds none among the wheels that were collected for the CPU, and takes no other."""
    script = runpy.run_path(str(ROOT / "scripts" / "images"))
    command = [script["client"](), "build", "--target=packages", "--build-arg=TORCH=cu130", "--network=none", str(ROOT)]
    built = subprocess.run(command, env=script["environment"](), capture_output=True, text=True, check=False)
    assert built.returncode == 1
    assert re.search(r"No matching distribution found for torch==[\d.]+\+cu130", built.stderr)


def test_serving_starts_without_a_shell(engine: docker.DockerClient, images: None) -> None:
    config = engine.images.get(SERVING_IMAGE).attrs["Config"]
    assert config["Entrypoint"] == ["python3", "-m", "serving"]
    assert config["Healthcheck"]["Test"] == ["CMD", "python3", "-m", "serving.health"]


def test_another_user_can_run_it(engine: docker.DockerClient, images: None) -> None:
    """As some clusters give each namespace user ids of its own."""
    output = engine.containers.run(
        SERVING_IMAGE, ["--help"], **HARDENED, network_mode="none", user="1000730000:0", remove=True
    )
    assert b"collector" in output


def test_a_missing_store_is_one_sentence(engine: docker.DockerClient, images: None) -> None:
    with pytest.raises(docker.errors.ContainerError) as ended:
        run(engine, SERVING_IMAGE, "-m", "serving", "collector", "--store=/store", "--event-log=sqlite:////tmp/e.db")
    assert ended.value.exit_status == 2
    assert (
        ended.value.stderr.decode().strip()
        == "serving: no feature store in /store; run the training pipeline, which makes one"
    )
