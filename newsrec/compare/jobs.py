"""The jobs of a study: logs, tunings, trainings and plays, each addressed by all that determines what comes out of it.

A job's key is a digest of its configuration, of the keys of the jobs whose results it needs, and of the formats of what
is written. Equal jobs of different studies have equal keys, so a folder may be shared; a job that is there is never
done again. Code is not in the key: after a change that changes results, begin a new folder.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple

from newsrec import artifact, config
from newsrec.artifact import InvalidArtifact
from newsrec.compare.study import BEHAVIOUR, ORACLES, TAUGHT_BY, Study
from newsrec.config import InvalidConfig
from newsrec.features import feature_hash
from newsrec.search_space import space_from_mapping
from newsrec.slate import SlateConfig

FORMAT = 1
"""Of what jobs write, and of what they do: to be raised where the same configuration would give something else."""
RECORD = "job.json"
"""The last file of a finished job: what it was, and its seconds."""
Kind = Literal["log", "tune", "train", "play"]


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
    """Epochs, at most, or trials."""
    needs: tuple["Job", ...] = ()

    @cached_property
    def key(self) -> str:
        formats = [FORMAT, artifact.FORMAT, feature_hash()]
        return config.digest(formats, self.kind, self.what, [need.key for need in self.needs])

    @cached_property
    def sort(self) -> str:
        """Equal for jobs that take as long for each day and round: neither seeds nor what differs in a world matter."""
        who = [self.what.get("oracle"), self.what.get("actor", {}).get("policy"), self.what.get("taught_by")]
        return config.digest(self.kind, self._timely, who, [need._timely for need in self.needs])

    @property
    def _timely(self) -> list[Any]:
        """What of a job takes time: the size of its world and the kind of its run."""
        world = self.what.get("world", {})
        return [
            [world.get(name) for name in ("readers", "candidates", "slate_size")],
            _timely(self.what.get("run", {})),
        ]

    def at(self, folder: str | Path) -> Path:
        """Where its result stands below ``folder``."""
        return Path(folder) / self.kind / self.key

    def done(self, folder: str | Path) -> bool:
        return (self.at(folder) / RECORD).exists()


class Plan(NamedTuple):
    """The jobs of a study by what they are for; some may be the same job."""

    logs: dict[int, Job]
    """Training seed -> job."""
    further_logs: dict[tuple[str, int], Job]
    """Name of a further log and training seed -> job, of those that a contender learns from."""
    trainings: dict[tuple[str, int], Job]
    """Contender and training seed -> job."""
    plays: dict[tuple[str, str, int], Job]
    """Contender, oracle or behaviour, world and training seed -> job."""

    @property
    def jobs(self) -> list[Job]:
        """Each once, behind those that it needs; seed by seed."""
        of_seeds = []
        for seed, log in self.logs.items():
            groups: tuple[dict[Any, Job], ...] = self.trainings, self.plays
            of_seeds += [log, *(job for group in groups for at, job in group.items() if at[-1] == seed)]
        return in_order(of_seeds)


def tunings(
    study: Study, spaces: Mapping[str, Mapping[str, Any]], trials: int, slates: Sequence[SlateConfig] = ()
) -> dict[str, Job]:
    """Contender -> the job that tunes it in the first world, on the log and the readers of the first seed.

    ``spaces`` hold the space of each contender (``newsrec.search_space``). The best of ``trials`` is played with each
    of ``slates`` beside the contender's own, which trials are played with. Raises InvalidConfig.
    """
    seed, found = study.seeds[0], {}
    world = _plain(study.world(next(iter(study.worlds)), seed))
    for name in study.contenders:
        contender = study.contender(name)
        if contender.taught_by or contender.taught.log or contender.taught.permuted:
            raise InvalidConfig(f"contenders.{name} learns from another one or log, expected the study's log alone")
        run = replace(contender.run, seed=seed)
        space_from_mapping(spaces[name], run, f"spaces.{name}")
        what = {
            "run": _plain(run),
            "space": json.loads(json.dumps(spaces[name])),
            "trials": trials,
            "world": world,
            "slates": [_plain(slate) for slate in (contender.slate, *slates)],
        }
        log = _log(study, seed)
        found[name] = Job("tune", f"tune {name}", name, what, log.days, trials, (log,))
    return found


def in_order(jobs: Iterable[Job]) -> list[Job]:
    """``jobs`` and all that they need, each once, behind those that it needs."""
    found: dict[str, Job] = {}

    def put(job: Job) -> None:
        for need in job.needs:
            put(need)
        found.setdefault(job.key, job)

    for job in jobs:
        put(job)
    return list(found.values())


def plan(study: Study) -> Plan:
    """All that ``study`` takes. Raises InvalidConfig for a teacher or a warm start that is no artefact."""
    result = Plan({seed: _log(study, seed) for seed in study.seeds}, {}, {}, {})
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
            if study.behaviour:
                acted = {"world": simulated, "actor": _plain(study.actor)}
                result.plays[BEHAVIOUR, world, seed] = _play(BEHAVIOUR, world, seed, acted)
    return result


def shortened(study: Study, days: int) -> Study:
    """A study of the same sorts of jobs for the first seed and world: ``days`` simulated ones, one epoch."""
    contenders = {}
    for name, table in study.contenders.items():
        training = {**table.get("training", {}), "epochs": 1}
        contenders[name] = {**table, "training": training}
    world = next(iter(study.worlds))
    logs = {name: _shortened_log(table, days) for name, table in study.logs.items()}
    return replace(
        study,
        seeds=study.seeds[:1],
        contenders=contenders,
        log=replace(study.log, days=min(days, study.log.days)),
        logs=logs,
        days=min(days, study.days),
        worlds={world: study.worlds[world]},
    )


def _log(study: Study, seed: int) -> Job:
    what = {"world": _plain(study.log_world(seed)), "actor": _plain(study.actor)}
    return Job("log", f"log, seed {seed}", "", what, study.log.days)


def _shortened_log(table: dict[str, Any], days: int) -> dict[str, Any]:
    world = table.get("world", {})
    return {**table, "world": {**world, "days": min(days, world["days"])}} if "days" in world else table


def _further_log(study: Study, name: str, seed: int, plan: Plan) -> Job:
    """Puts the log and, where a contender writes it, the training of that into ``plan``."""
    if (name, seed) not in plan.further_logs:
        log, world = study.further_log(name), study.log_world(seed, name)
        needs = (_train(study, log.by, seed, plan),) if log.by else ()
        acted = {"slate": _plain(log.slate)} if log.by else {"actor": _plain(study.actor)}
        what = {"world": _plain(world), **acted}
        plan.further_logs[name, seed] = Job("log", f"log {name}, seed {seed}", "", what, world.days, needs=needs)
    return plan.further_logs[name, seed]


def _train(study: Study, name: str, seed: int, plan: Plan) -> Job:
    """Puts the training and those that it learns from into ``plan``."""
    if (name, seed) not in plan.trainings:
        contender = study.contender(name)
        named = contender.taught.log
        log = _further_log(study, named, seed, plan) if named else plan.logs[seed]
        taught_by = {key: _train(study, teacher, seed, plan) for key, teacher in contender.taught_by.items()}
        run = _plain(replace(contender.run, seed=seed)) | dict.fromkeys(taught_by, "")
        folders = {key: folder for key in TAUGHT_BY if (folder := run[key])}
        what = {
            "run": run,
            "taught_by": list(taught_by),
            "versions": {key: _version(f"contenders.{name}.{key}", folder) for key, folder in folders.items()},
        }
        if contender.taught.permuted:
            what["permuted"] = contender.taught.permuted
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


def _timely(settings: Any) -> Any:
    """What of a run takes time: neither its seed and epochs nor its rates and weights."""
    if not isinstance(settings, dict):
        return settings
    kept = {key: value for key, value in settings.items() if key not in ("seed", "epochs", "patience")}
    return {key: _timely(value) for key, value in kept.items() if not isinstance(value, float)}


def _plain(settings: Any) -> dict[str, Any]:
    """As JSON gives it back."""
    return json.loads(json.dumps(config.to_mapping(settings)))
