"""The data contract of a day's events. Never cached: the day's end is the run's own."""

from kfp import dsl

from components import component


@component
def check(events: dsl.Input[dsl.Dataset], until: str, rules: str, contract: dsl.Output[dsl.Markdown]):
    """Fail, naming each broken rule, where the day before ``until`` cannot be trusted; ``rules`` is JSON."""
    from newsrec import supervision

    supervision.check_to(events.path, int(until), rules, contract.path)
