"""The jobs of a study: logs, trainings and plays, each addressed by all that determines what comes out of it.

A job's key is a digest of its configuration, of the keys of the jobs whose results it needs, and of the formats of what
is written. Equal jobs of different studies have equal keys, so a folder may be shared; a job that is there is never
done again. Code is not in the key: after a change that changes results, begin a new folder.
"""

import json
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple

from newsrec import artifact, config
from newsrec.artifact import InvalidArtifact
from newsrec.compare.study import ORACLES, TAUGHT_BY, Study
from newsrec.config import InvalidConfig
from newsrec.features import feature_hash

FORMAT = 1
"""Of what jobs write, and of what they do: to be raised where the same configuration would give something else."""
RECORD = "job.json"
"""The last file of a finished job: what it was, and its seconds."""
Kind = Literal["log", "train", "play"]


@dataclass(frozen=True)
class Job:
    """One piece of work, done in one process."""

    kind: Kind
    name: str
    """For people."""
    subject: str
    """The contender or oracle, for people too; empty for a log."""
    what: dict[str, Any]
    """All that determines the result beside ``needs``; plain values."""
    days: int
    """Simulated ones, of the log that is written or trained on, or of the play."""
    rounds: int = 1
    """Epochs, at most."""
    needs: tuple["Job", ...] = ()

    @cached_property
    def key(self) -> str:
        formats = [FORMAT, artifact.FORMAT, feature_hash()]
        return config.digest(formats, self.kind, self.what, [need.key for need in self.needs])

    @cached_property
    def sort(self) -> str:
        """Equal for jobs that take as long for each day and round: neither seeds nor what differs in a world matter."""
        world = self.needs[0].what["world"] if self.kind == "train" else self.what["world"]
        size = [world[name] for name in ("readers", "candidates", "slate_size")]
        run, trained = _without_rounds(self.what.get("run", {})), [need.sort for need in self.needs]
        return config.digest(self.kind, size, run, self.what.get("oracle"), trained)

    def at(self, folder: str | Path) -> Path:
        """Where its result stands below ``folder``."""
        return Path(folder) / self.kind / self.key

    def done(self, folder: str | Path) -> bool:
        return (self.at(folder) / RECORD).exists()


class Plan(NamedTuple):
    """The jobs of a study by what they are for; some may be the same job."""

    logs: dict[int, Job]
    """Training seed -> job."""
    trainings: dict[tuple[str, int], Job]
    """Contender and training seed -> job."""
    plays: dict[tuple[str, str, int], Job]
    """Contender or oracle, world and training seed -> job."""

    @property
    def jobs(self) -> list[Job]:
        """Each once, behind those that it needs; seed by seed."""
        found: dict[str, Job] = {}
        for seed, log in self.logs.items():
            of_seed = [job for group in (self.trainings, self.plays) for at, job in group.items() if at[-1] == seed]
            for job in (log, *of_seed):
                found.setdefault(job.key, job)
        return list(found.values())


def plan(study: Study) -> Plan:
    """All that ``study`` takes. Raises InvalidConfig for a teacher or a warm start that is no artefact."""
    result = Plan({seed: _log(study, seed) for seed in study.seeds}, {}, {})
    for seed in study.seeds:
        for name in study.contenders:
            _train(study, name, seed, result)
        for world in study.worlds:
            simulated = _plain(study.world(world, seed))
            for name in study.contenders:
                training = result.trainings[name, seed]
                what = {"world": simulated, "slate": _plain(study.contender(name).slate)}
                result.plays[name, world, seed] = _play(name, world, seed, what, training)
            for name in ORACLES if study.oracles else ():
                result.plays[name, world, seed] = _play(name, world, seed, {"world": simulated, "oracle": name})
    return result


def shortened(study: Study, days: int) -> Study:
    """A study of the same sorts of jobs for the first seed and world: ``days`` simulated ones, one epoch."""
    contenders = {}
    for name, table in study.contenders.items():
        training = {**table.get("training", {}), "epochs": 1}
        contenders[name] = {**table, "training": training}
    world = next(iter(study.worlds))
    return replace(
        study,
        seeds=study.seeds[:1],
        contenders=contenders,
        log=replace(study.log, days=min(days, study.log.days)),
        days=min(days, study.days),
        worlds={world: study.worlds[world]},
    )


def _log(study: Study, seed: int) -> Job:
    what = {"world": _plain(study.log_world(seed)), "actor": _plain(study.actor)}
    return Job("log", f"log, seed {seed}", "", what, study.log.days)


def _train(study: Study, name: str, seed: int, plan: Plan) -> Job:
    """Puts the training and those that it learns from into ``plan``."""
    if (name, seed) not in plan.trainings:
        contender, log = study.contender(name), plan.logs[seed]
        taught_by = {key: _train(study, teacher, seed, plan) for key, teacher in contender.taught_by.items()}
        run = _plain(replace(contender.run, seed=seed)) | dict.fromkeys(taught_by, "")
        folders = {key: folder for key in TAUGHT_BY if (folder := run[key])}
        what = {
            "run": run,
            "taught_by": list(taught_by),
            "versions": {key: _version(f"contenders.{name}.{key}", folder) for key, folder in folders.items()},
        }
        needs = (log, *taught_by.values())
        rounds = contender.run.training.epochs
        plan.trainings[name, seed] = Job("train", f"train {name}, seed {seed}", name, what, log.days, rounds, needs)
    return plan.trainings[name, seed]


def _play(name: str, world: str, seed: int, what: dict[str, Any], *needs: Job) -> Job:
    return Job("play", f"play {name} in {world}, seed {seed}", name, what, what["world"]["days"], needs=needs)


def _version(where: str, folder: str) -> str:
    try:
        return artifact.read_manifest(folder)["version"]
    except InvalidArtifact as error:
        raise InvalidConfig(f"{where} is neither a contender nor an artefact: {error}") from None


def _without_rounds(run: dict[str, Any]) -> dict[str, Any]:
    run = {key: value for key, value in run.items() if key != "seed"}
    if "training" in run:
        run["training"] = {key: value for key, value in run["training"].items() if key not in ("epochs", "patience")}
    return run


def _plain(settings: Any) -> dict[str, Any]:
    """As JSON gives it back."""
    return json.loads(json.dumps(config.to_mapping(settings)))
