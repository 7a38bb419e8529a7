"""Feature views over the snapshots, their fields generated from ``newsrec.features``.

A view's name carries VIEW_VERSION: a new version is another view beside the old one, so predictors of both can run.
"""

from datetime import timedelta

from feast import Entity, FeatureView, Field, FileSource
from feast.data_format import ParquetFormat
from feast.types import Bytes, Float32, Int64

from feature_repo.entities import ARTICLE, READER
from newsrec.features import ARTICLE_FEATURES, READER_FEATURES, VIEW_VERSION, Feature, feature_hash

HASH_TAG = "feature_hash"
EVENT_TIME = "event_microseconds"
"""A copy of event_timestamp as a feature of its own: SQLite's online store keeps event times in whole seconds."""
READER_VECTOR_FEATURES = (
    Feature("vector", "bytes", "the reader's vector, little-endian float32"),
    Feature("policy_version", "bytes", "version of the artefact whose history tower made it"),
    Feature("content", "int64", "fingerprint of the contents of the articles that were read"),
)
READER_SLATE_FEATURES = (
    Feature("ranking", "bytes", "candidates and their scores, packed by whoever serves them"),
    Feature("policy_version", "bytes", "version of the artefact that scored them"),
)
SAME_MOMENT = "same_moment"
"""Tag of a view whose rows are replaced by others of the same moment, too: there is more than one way to make them."""
_TYPES = {"bytes": Bytes, "int64": Int64, "float32": Float32}


def reader_view(offline: str) -> FeatureView:
    """The view ``reader_vN`` over the Parquet below the folder or bucket ``offline``."""
    return _view(READER, READER_FEATURES, offline)


def article_view(offline: str) -> FeatureView:
    """The view ``article_vN`` over the Parquet below the folder or bucket ``offline``."""
    return _view(ARTICLE, ARTICLE_FEATURES, offline)


def reader_vector_view(offline: str) -> FeatureView:
    """The view ``reader_vector_vN``: what a policy's history tower makes of a row of ``reader_vN``.

    Its event_timestamp is that of the row. It is written online alone and made anew from the rows at any time.
    """
    view = _view(READER, READER_VECTOR_FEATURES, offline, "reader_vector")
    view.tags[SAME_MOMENT] = "replaced"
    return view


def reader_slate_view(offline: str) -> FeatureView:
    """The view ``reader_slate_vN``: what a policy would choose a reader's slate from, scored in advance.

    Its event_timestamp is when that was. It is written online alone.
    """
    return _view(READER, READER_SLATE_FEATURES, offline, "reader_slate")


def _view(entity: Entity, features: tuple[Feature, ...], offline: str, kind: str = "") -> FeatureView:
    name = f"{kind or entity.name}_v{VIEW_VERSION}"
    fields = [Field(name=f.name, dtype=_TYPES[f.dtype], description=f.meaning) for f in features]
    return FeatureView(
        name=name,
        entities=[entity],
        schema=[*fields, Field(name=EVENT_TIME, dtype=Int64, description="event_timestamp in microseconds")],
        source=FileSource(
            name=name,
            path=f"{offline}/{name}.parquet",
            file_format=ParquetFormat(),
            timestamp_field="event_timestamp",
        ),
        ttl=timedelta(0),  # a reader who was away for a year is still known
        online=True,
        tags={HASH_TAG: feature_hash()},
    )
