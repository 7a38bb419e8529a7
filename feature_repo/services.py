"""The feature services that training rows and online reads both resolve, so that neither can drift from the other."""

from feast import FeatureService, FeatureView

from feature_repo.views import HASH_TAG
from newsrec.features import feature_hash


def service(name: str, view: FeatureView) -> FeatureService:
    """The service ``name`` (reader or article) with every feature of ``view``."""
    return FeatureService(name=name, features=[view], tags={HASH_TAG: feature_hash()})
