"""What predictor and collector accept: strict types and limits. A violation names its field in one sentence.

Times are integers in UTC microseconds or ISO 8601 text with a timezone; after validation they are integers.
"""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

MAX_BODY_BYTES = 1_000_000
MAX_ID_BYTES = 256
MAX_SLATE = 100
MAX_CANDIDATES = 500
MAX_EXCLUSIONS = 1_000
MAX_INSTANCES = 100
"""Requests in one call of the predictor."""
MAX_EVENTS = 1_000
MAX_ARTICLES = 100

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST = (datetime(2100, 1, 1, tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1)
"""Read times are stored as 32-bit seconds."""


def _identifier(value: str) -> str:
    if "\0" in value or not 1 <= len(value.encode()) <= MAX_ID_BYTES:
        raise ValueError(f"expected 1 to {MAX_ID_BYTES} bytes without NUL")
    return value


def _text(value: str) -> str:
    if "\0" in value:
        raise ValueError("expected text without NUL")
    return value


def _microseconds(value: object) -> int:
    if isinstance(value, str):
        try:
            value = (datetime.fromisoformat(value) - _EPOCH) // timedelta(microseconds=1)
        except (TypeError, ValueError, OverflowError):
            raise ValueError("expected ISO 8601 with a timezone, such as 2024-05-01T08:30:00Z") from None
    if type(value) is not int or not 0 <= value < _LATEST:
        raise ValueError("expected a time from 1970 to 2099, as ISO 8601 or in microseconds")
    return value


class _Says:
    """Adds keywords to the JSON schema of a type: of what the validator before it checks."""

    def __init__(self, **keywords: Any) -> None:
        self._keywords = keywords

    def __get_pydantic_json_schema__(self, core_schema: Any, handler: Any) -> dict[str, Any]:
        return handler(core_schema) | self._keywords


_NO_NUL = r"^[^\u0000]*$"
_BYTES = f"At most {MAX_ID_BYTES} bytes of UTF-8."
Identifier = Annotated[
    str,
    AfterValidator(_identifier),
    _Says(minLength=1, maxLength=MAX_ID_BYTES, pattern=_NO_NUL, description=_BYTES),
]
Text = Annotated[str, AfterValidator(_text), _Says(pattern=_NO_NUL)]
Label = Annotated[Text, Field(max_length=64)]
_MOMENTS = [{"type": "integer", "minimum": 0, "exclusiveMaximum": _LATEST}, {"type": "string", "format": "date-time"}]
Moment = Annotated[
    int, BeforeValidator(_microseconds), WithJsonSchema({"anyOf": _MOMENTS, "description": "From 1970 to 2099."})
]


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Context(_Strict):
    """Where the reader is; ``session_id`` is made from the reader and the half hour where it is left out."""

    device: Label | None = None
    surface: Label | None = None
    locale: Label | None = None
    utc_offset_minutes: int = Field(default=0, ge=-1440, le=1440)
    session_id: Identifier | None = None


class SlateRequest(_Strict):
    """One reader asks for a slate. ``seed`` repeats a draw; without one each request draws anew."""

    user_id: Identifier
    k: int = Field(default=10, ge=1, le=MAX_SLATE)
    candidates: list[Identifier] | None = Field(default=None, min_length=1, max_length=MAX_CANDIDATES)
    exclude: list[Identifier] = Field(default=[], max_length=MAX_EXCLUSIONS)
    context: Context = Context()
    time: Moment | None = None
    seed: int | None = Field(default=None, ge=0, lt=2**63)


class Instances(_Strict):
    """The body of KServe's V1 protocol."""

    instances: list[SlateRequest] = Field(min_length=1, max_length=MAX_INSTANCES)


class FeedbackEvent(_Strict):
    """What a reader did with an article of a slate (``leave`` has none); ``time`` is now where left out or later."""

    event_id: Identifier
    request_id: Identifier
    user_id: Identifier
    article_id: Identifier | None = None
    position: int | None = Field(default=None, ge=0, lt=MAX_SLATE)
    kind: Literal["impression", "click", "dwell", "like", "share", "comment", "hide", "leave"]
    dwell_seconds: float | None = Field(default=None, ge=0, le=86_400, allow_inf_nan=False)
    time: Moment | None = None


class FeedbackBatch(_Strict):
    events: list[FeedbackEvent] = Field(min_length=1, max_length=MAX_EVENTS)


class FeedbackAnswer(BaseModel):
    """``history``: whether the readers' next slates already know these events, or will within seconds.

    ``forgotten``, where there are any: events from before their reader was deleted, which are not kept.
    """

    accepted: int
    repeated: int
    quarantined: int
    forgotten: int = 0
    history: Literal["updated", "pending"]


class PublishedArticle(_Strict):
    article_id: Identifier
    published_at: Moment
    title: Annotated[Text, Field(min_length=1, max_length=1_000)]
    abstract: Annotated[Text, Field(max_length=10_000)] | None = None
    category: Label | None = None
    subcategory: Label | None = None
    body_length: int | None = Field(default=None, ge=0, lt=2**31)


class ArticleBatch(_Strict):
    articles: list[PublishedArticle] = Field(min_length=1, max_length=MAX_ARTICLES)


class ArticlesAnswer(BaseModel):
    """``changed``: how many are new or differ from what was published before."""

    changed: int
