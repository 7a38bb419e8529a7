"""What can be wrong with a feature store; each message says what was found and what to do."""


class FeatureStoreError(RuntimeError):
    """The feature store cannot do what was asked."""


class FeatureStoreMissing(FeatureStoreError):
    """There is no feature store, a part of it is gone, or its online store does not answer."""


class FeatureStoreMismatch(FeatureStoreError):
    """The store was made by code with other features."""


class MaterialisationFailed(FeatureStoreError):
    """After materialisation some online rows are missing, or older than offline."""
