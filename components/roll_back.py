"""The release before the current one is served again. Never cached: KFP's cache does not see what is served."""

from components import component


@component
def roll_back(releases: str, expected: str, storage: str, service: str) -> str:
    """Roll back ``expected``, "" for whatever is served; returns the version that is served then."""
    from newsrec import deployment

    return deployment.roll_back_to(releases, expected, storage, service)
