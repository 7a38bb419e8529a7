"""One policy from one training set."""

from kfp import dsl

from components import component


@component
def train(training_set: dsl.Input[dsl.Dataset], config: str, code: str, model: dsl.Output[dsl.Model]):
    """Train what ``config`` (JSON of a RunConfig) says and save the artefact."""
    from newsrec import training

    training.train_to(training_set.path, config, model.path)
