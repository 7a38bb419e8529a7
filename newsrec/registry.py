"""The policies by name. Adding one is one file, one line here and one TOML in ``configs/``."""

from typing import Literal, NamedTuple

import torch

from newsrec.baselines import (
    als,
    bpr,
    diverse,
    ease,
    lightgcn,
    matrix_factorization,
    nrms,
    popularity,
    pp_rec,
    sasrec,
    supervised,
    transformer,
)
from newsrec.rl import actor_critic, cql, decision_transformer, dqn, imitation, iql, policy_gradient


class Entry(NamedTuple):
    """What makes a policy: ``policy(config, articles)`` with untrained weights, ``learner(policy, generator)``."""

    config: type
    policy: type[torch.nn.Module]
    learner: type
    long_term: bool = False
    """It optimises what comes later: its batches hold successors, it needs a log with a clock and propensities, and
    clicks on validation decisions do not say when to stop: the weights of the last epoch are kept."""
    label: Literal["click", "dwell", "return"] = "click"
    """What it is taught. Another one than the click has to stand in the log, and leads away from clicks: the weights of
    the last epoch are kept here, too."""

    @property
    def gives_clicks_away(self) -> bool:
        """Whether it does so on purpose, so that clicks on validation decisions say nothing of it."""
        return self.long_term or self.label != "click"


REGISTRY = {
    "popularity": Entry(popularity.Config, popularity.PopularityPolicy, popularity.PopularityLearner),
    "matrix_factorization": Entry(
        matrix_factorization.Config,
        matrix_factorization.MatrixFactorizationPolicy,
        matrix_factorization.MatrixFactorizationLearner,
    ),
    "transformer": Entry(transformer.Config, transformer.TransformerPolicy, transformer.TransformerLearner),
    "sasrec": Entry(sasrec.Config, sasrec.SasRecPolicy, sasrec.SasRecLearner),
    "nrms": Entry(nrms.Config, nrms.NrmsPolicy, nrms.NrmsLearner),
    "pp_rec": Entry(pp_rec.Config, pp_rec.PpRecPolicy, pp_rec.PpRecLearner),
    "ease": Entry(ease.Config, ease.EasePolicy, ease.EaseLearner),
    "als": Entry(als.Config, als.AlsPolicy, als.AlsLearner),
    "bpr": Entry(bpr.Config, bpr.BprPolicy, bpr.BprLearner),
    "lightgcn": Entry(lightgcn.Config, lightgcn.LightGcnPolicy, lightgcn.LightGcnLearner),
    "dwell": Entry(supervised.DwellConfig, supervised.SupervisedPolicy, supervised.DwellLearner, label="dwell"),
    "return": Entry(supervised.ReturnConfig, supervised.SupervisedPolicy, supervised.ReturnLearner, label="return"),
    "diverse": Entry(diverse.Config, diverse.DiversePolicy, diverse.DiverseLearner, label="dwell"),
    "dqn": Entry(dqn.Config, dqn.DQNPolicy, dqn.DQNLearner, long_term=True),
    "cql": Entry(cql.Config, cql.CQLPolicy, cql.CQLLearner, long_term=True),
    "iql": Entry(iql.Config, iql.IQLPolicy, iql.IQLLearner, long_term=True),
    "decision_transformer": Entry(
        decision_transformer.Config,
        decision_transformer.DecisionTransformerPolicy,
        decision_transformer.DecisionTransformerLearner,
        long_term=True,
    ),
    "policy_gradient": Entry(
        policy_gradient.Config,
        policy_gradient.PolicyGradientPolicy,
        policy_gradient.PolicyGradientLearner,
        long_term=True,
    ),
    "imitation": Entry(imitation.Config, imitation.ImitationPolicy, imitation.ImitationLearner, long_term=True),
    "actor_critic": Entry(
        actor_critic.Config, actor_critic.ActorCriticPolicy, actor_critic.ActorCriticLearner, long_term=True
    ),
}
