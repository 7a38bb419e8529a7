"""KFP pipelines out of the components; ``python -m pipelines compile|run|submit``."""
