"""Point-in-time features of a log: Feast's offline source and the training rows joined from it."""

from kfp import dsl

from components import component


@component
def features(events: dsl.Input[dsl.Dataset], code: str, training_set: dsl.Output[dsl.Dataset]):
    """Write the offline store and join each decision with what was known at its moment."""
    from feature_repo import store

    store.build_training_set(events.path, training_set.path)
