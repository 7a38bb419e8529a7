"""The parts in their order: each one's studies, done, and what it found; later ones take what earlier ones chose."""

from benchmarks.results import Part
from benchmarks.retention import (
    distillation,
    elasticity,
    elsewhere,
    finals,
    imitation,
    offline,
    other_worlds,
    screening,
    tabular,
    transfer,
    tuning,
)
from benchmarks.retention.bars import Played
from benchmarks.retention.contenders import Choice
from benchmarks.retention.runner import Runner, Work, work
from benchmarks.retention.size import Size
from newsrec.compare.study import Study


def measured(size: Size, runner: Runner) -> Part:
    """All parts, one after the other. Raises TimeOver where the slice is used."""
    runner.run("tuning", tuning.work(size))
    tables = tuning.tables(size, runner)
    played = _played(runner, "screening", screening.screen(size, tables))
    choice = screening.chosen(tables, played["nominal"])
    found = [Part({"tuning": tuning.figures(size, runner)}, []), screening.measured(size, choice, played["nominal"])]
    played = _played(runner, "finals", finals.finals(size, choice))
    rival = finals.supervised(choice, played["nominal"])
    found.append(finals.measured(size, choice, played["nominal"]))
    played = _played(runner, "elasticity", elasticity.curve(size, choice, rival))
    there = _played(runner, "elasticity, learnt at zero", elasticity.learnt_there(size, choice, rival))
    found.append(elasticity.measured(choice, rival, played, there["nominal"]))
    played = _played(runner, "other worlds", other_worlds.elsewhere(size, choice, rival))
    found.append(other_worlds.measured(choice, rival, played))
    played = _played(runner, "offline", offline.from_one_log(size, choice))
    found.append(offline.measured(size, choice, played["nominal"]))
    played = _played(runner, "imitation", imitation.cloned(size, choice))
    found.append(imitation.measured(choice, played["nominal"]))
    played = _played(runner, "transfer", transfer.to_a_new_market(size, choice))
    found.append(transfer.measured(choice, played["nominal"]))
    study = distillation.taught(size, choice)
    played = _played(runner, "distillation", study)
    sizes = distillation.parameters(study, runner.folder)
    found.append(distillation.measured(choice, played["nominal"], sizes))
    found += [tabular.measured(size), elsewhere.measured()]
    figures = {name: figures for part in found for name, figures in part.figures.items()}
    return Part(figures, [bar for part in found for bar in part.bars])


def works(size: Size, runner: Runner) -> dict[str, Work]:
    """Part -> its jobs; those of contenders that nobody has chosen yet are guessed."""
    tables = tuning.tables(size, runner)
    screen = screening.screen(size, tables)
    asked = {"tuning": tuning.work(size), "screening": work(screen)}
    choice = screening.guessed(tables)
    if all(job.done(runner.folder) for one in asked.values() for job in one.jobs):
        choice = screening.chosen(tables, runner.lives(screen))
    return asked | _of(size, choice)


def _of(size: Size, choice: Choice) -> dict[str, Work]:
    rival = choice.supervised[0]
    return {
        "finals": work(finals.finals(size, choice)),
        "elasticity": work(elasticity.curve(size, choice, rival), elasticity.learnt_there(size, choice, rival)),
        "other worlds": work(other_worlds.elsewhere(size, choice, rival)),
        "offline": work(offline.from_one_log(size, choice)),
        "imitation": work(imitation.cloned(size, choice)),
        "transfer": work(transfer.to_a_new_market(size, choice)),
        "distillation": work(distillation.taught(size, choice)),
    }


def protocol(size: Size) -> dict[str, str]:
    return {
        "screening": screening.protocol(size),
        "finals": finals.protocol(size),
        "elasticity": elasticity.protocol(size),
        "other_worlds": other_worlds.protocol(size),
        "offline": offline.protocol(size),
        "imitation": imitation.protocol(size),
        "transfer": transfer.protocol(size),
        "distillation": distillation.protocol(size),
        "tabular": tabular.protocol(size),
        "elsewhere": elsewhere.protocol(),
    }


def seeds(size: Size) -> dict[str, list[int]]:
    fresh, further = list(size.fresh_seeds), list(size.further_seeds)
    return {
        "screening": [*([size.tuning_seed] if size.trials else []), *size.screening_seeds],
        "finals": fresh,
        "elasticity": [*fresh, *size.screening_seeds],
        "other_worlds": fresh,
        "offline": further,
        "imitation": further,
        "transfer": further,
        "distillation": further,
        "tabular": list(size.tabular_seeds),
    }


def _played(runner: Runner, what: str, study: Study) -> dict[str, Played]:
    """World -> the lives of everybody's readers, done now where they are not yet."""
    runner.run(what, work(study))
    return {world: runner.lives(study, world) for world in study.worlds}
