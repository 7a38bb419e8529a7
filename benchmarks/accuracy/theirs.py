"""What runs in the environment of RecTools and implicit: ``theirs.py TASK FOLDER`` reads in.npz and settings.json.

It writes out.npz and out.json. It imports nothing of newsrec, whose numpy is another one.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np


def matrix(read):
    from scipy.sparse import csr_matrix

    return csr_matrix((np.ones(len(read["indices"]), np.float32), read["indices"], read["indptr"]), read["shape"])


def factors(read, asked):
    """implicit's ALS or BPR with each of the settings that are asked for."""
    from implicit.als import AlternatingLeastSquares
    from implicit.bpr import BayesianPersonalizedRanking

    found, kind = {}, {"als": AlternatingLeastSquares, "bpr": BayesianPersonalizedRanking}[asked["model"]]
    for number, settings in enumerate(asked["settings"]):
        model = kind(**settings, num_threads=1, random_state=asked["seed"])
        model.fit(matrix(read), show_progress=False)
        found |= {f"{number}_readers": model.user_factors, f"{number}_items": model.item_factors}
    return found, {}


def als_turns(read, settings):
    """Seconds of turns of implicit's ALS, each a fit of two iterations less one of one; factors after two."""
    import implicit
    from implicit.als import AlternatingLeastSquares

    users, took = matrix(read), []
    config = {name: settings[name] for name in ("factors", "regularization", "alpha")}
    for _ in range(settings["rounds"]):
        both = []
        for iterations in (1, 2):
            model = AlternatingLeastSquares(**config, iterations=iterations, num_threads=1, random_state=0)
            began = time.perf_counter(), time.process_time()
            model.fit(users, show_progress=False)
            both.append((time.perf_counter() - began[0], time.process_time() - began[1]))
        took.append([later - earlier for earlier, later in zip(*both, strict=True)])
    wall, cpu = zip(*took, strict=True)
    return {"readers": model.user_factors, "items": model.item_factors}, {
        "wall": wall,
        "cpu": cpu,
        "version": implicit.__version__,
    }


def sasrec(read, settings):
    """RecTools' SASRec with softmax: the first ten items that each reader has not read."""
    import pandas as pd
    import rectools
    import torch
    from pytorch_lightning import Trainer, seed_everything
    from rectools import Columns
    from rectools.dataset import Dataset
    from rectools.models import SASRecModel

    torch.set_num_threads(1)
    seed_everything(settings["seed"])
    rows = {Columns.User: read["reader"], Columns.Item: read["item"], Columns.Weight: 1.0}
    rows[Columns.Datetime] = pd.to_datetime(np.arange(len(read["reader"])), unit="s")  # order alone
    dataset = Dataset.construct(pd.DataFrame(rows))

    def trainer():
        quiet = {"enable_progress_bar": False, "enable_model_summary": False, "logger": False}
        epochs = settings["epochs"]
        return Trainer(
            accelerator="cpu",
            max_epochs=epochs,
            min_epochs=epochs,
            deterministic=True,
            enable_checkpointing=False,
            **quiet,
        )

    model = SASRecModel(
        n_factors=settings["width"],
        n_blocks=settings["layers"],
        n_heads=settings["heads"],
        dropout_rate=settings["dropout"],
        session_max_len=settings["history"],
        lr=settings["learning_rate"],
        batch_size=settings["batch"],
        loss="softmax",
        get_trainer_func=trainer,
    )
    began = time.perf_counter(), time.process_time()
    model.fit(dataset)
    about = {"wall": time.perf_counter() - began[0], "cpu": time.process_time() - began[1]}
    readers = np.arange(settings["readers"])
    found = model.recommend(readers, dataset, k=10, filter_viewed=True)
    top = np.zeros((len(readers), 10), np.int64)
    top[found[Columns.User], found[Columns.Rank] - 1] = found[Columns.Item]
    return {"top": top}, about | {"version": rectools.__version__, "torch": torch.__version__}


TASKS = {"factors": factors, "als_turns": als_turns, "sasrec": sasrec}

if __name__ == "__main__":
    task, folder = sys.argv[1], Path(sys.argv[2])
    asked = json.loads((folder / "settings.json").read_text())
    with np.load(folder / "in.npz") as stored:
        arrays, about = TASKS[task](dict(stored), asked)
    np.savez(folder / "out.npz", **arrays)
    (folder / "out.json").write_text(json.dumps(about))
