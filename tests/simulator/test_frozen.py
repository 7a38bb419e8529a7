"""The worlds that policies are judged in do not change with the policies."""

from newsrec import config
from newsrec.simulator.config import SimulationConfig
from newsrec.simulator.parameters import parameters

FROZEN = "79a9eb4ced9af392"
"""Of every assumed parameter's name and value. A world is never tuned to a policy: whoever changes one of them says why
in the commit, and measures anew what was claimed in the old worlds (docs/results.md, docs/simulator.md)."""


def test_what_is_assumed_of_the_world_stays_as_it_was() -> None:
    assumed = {claim.path: claim.value for claim in parameters(SimulationConfig()) if claim.origin == "assumed"}
    assert len(assumed) > 90
    assert config.digest(assumed) == FROZEN
