"""The winner becomes the served release. Never cached: KFP's cache does not see what is served."""

from kfp import dsl

from components import component


@component
def publish(
    winner: dsl.Input[dsl.Model], releases: str, incumbent: str, run: str, job: str, storage: str, service: str
) -> str:
    """Publish under an immutable version, unless the release is no longer ``incumbent``; returns the version."""
    from newsrec import deployment

    return deployment.publish_to(releases, winner.path, incumbent, f"{run}/{job}", storage, service)
