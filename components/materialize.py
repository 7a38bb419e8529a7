"""The newest features, from the offline to the online store. Never cached: KFP's cache does not see the store."""

from kfp import dsl

from components import component


@component
def materialize(training_set: dsl.Input[dsl.Dataset], store: str, metrics: dsl.Output[dsl.Metrics]):
    """Materialise into the feature store at ``store``; fails when rows are missing or stale afterwards."""
    from feature_repo.store import materialize_training_set

    materialize_training_set(training_set.path, store, metrics.path)
