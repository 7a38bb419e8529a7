"""The winner becomes the served release, or a part of it. Never cached: KFP's cache does not see what is served."""

from kfp import dsl

from components import component


@component
def publish(
    winner: dsl.Input[dsl.Model],
    verdict: dsl.Input[dsl.Artifact],
    releases: str,
    incumbent: str,
    run: str,
    job: str,
    storage: str,
    service: str,
) -> str:
    """Publish what ``verdict`` permits, the winner or a mixture, unless the release is no longer ``incumbent``.

    Returns the immutable version that is served then.
    """
    from newsrec import gating

    where = gating.Run(releases, incumbent, f"{run}/{job}")
    return gating.publish_to(winner.path, verdict.path, where, storage, service)
