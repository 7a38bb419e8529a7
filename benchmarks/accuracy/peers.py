"""The other libraries, in an environment of their own (``make rectools``): they need numpy < 2.

``theirs.py`` runs there, one process a task, and knows nothing of newsrec; arrays go there and back in files.
"""

import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from benchmarks.results import ROOT

PYTHON = ROOT / ".venv-rectools" / "bin" / "python"
MISSING = f"RecTools is not installed: {PYTHON} is missing; make rectools makes it (1.4 GB)"
TRIED: dict[str, list[dict[str, Any]]] = {
    "als": [
        {"factors": width, "regularization": penalty, "alpha": confidence, "iterations": 15}
        for width, confidence, penalty in ((32, 2.0, 10.0), (64, 2.0, 10.0), (64, 4.0, 20.0), (64, 10.0, 50.0))
    ],
    "bpr": [
        {"factors": 64, "learning_rate": rate, "regularization": penalty, "iterations": passes}
        for rate, penalty, passes in ((0.05, 0.01, 100), (0.05, 0.01, 300), (0.05, 0.05, 300), (0.02, 0.02, 300))
    ],
}
"""Settings that implicit's models are tried with."""
SINGLE = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}


def run(task: str, arrays: dict[str, np.ndarray], **settings: Any) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The arrays and the figures that ``task`` of ``theirs.py`` makes, with one thread. Raises RuntimeError."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        np.savez(folder / "in.npz", **arrays)  # type: ignore[arg-type]
        (folder / "settings.json").write_text(json.dumps(settings))
        command = [str(PYTHON), str(Path(__file__).with_name("theirs.py")), task, name]
        done = subprocess.run(command, env=os.environ | SINGLE, cwd=name, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{command} ended with code {done.returncode}:\n{done.stderr[-2000:]}")
        with np.load(folder / "out.npz") as read:
            return dict(read), json.loads((folder / "out.json").read_text())


def factors(train: csr_array, name: str, settings: list[dict[str, Any]], seed: int) -> list[np.ndarray]:
    """Scores [readers, items + 1] of implicit's model ``name``, fitted with each of ``settings``."""
    found, _ = run("factors", parts(train), model=name, settings=settings, seed=seed)
    return [found[f"{n}_readers"] @ found[f"{n}_items"].T for n in range(len(settings))]


def parts(matrix: csr_array) -> dict[str, np.ndarray]:
    """``matrix`` as arrays."""
    return {"indptr": matrix.indptr, "indices": matrix.indices, "shape": np.array(matrix.shape)}
