"""Object store and InferenceService are brought up to the release. Never cached: KFP's cache sees none of the three."""

from components import component


@component
def deploy(releases: str, storage: str, service: str) -> str:
    """Deploy the release that is served; returns its URI. What is deployed already stays as it is."""
    from newsrec import deployment

    return deployment.deploy(releases, storage, service)
