"""The schema of the service: the fields of requests and answers."""

import base64
import binascii
import io
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic.dataclasses import dataclass

from lrface.faces.quality import Quality
from lrface.recognition.answers import DEFAULT_FAR, Verification
from lrface.recognition.gallery.answers import Answer
from lrface.recognition.gallery.search import SEARCH_FAR


def _decode(value: Any) -> Any:
    """Decode base64 text, with or without ``data:...;base64,`` before it. Bytes are returned unchanged."""
    if not isinstance(value, str):
        return value
    try:
        return base64.b64decode(value.rpartition(",")[2], validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError("not base64") from error


Picture = Annotated[
    bytes,
    BeforeValidator(_decode),
    Field(min_length=1),
    WithJsonSchema({"type": "string", "contentEncoding": "base64", "description": "the bytes of an image file"}),
]


def _opened(value: Any) -> Any:
    value = _decode(value)
    if isinstance(value, bytes):
        return io.BytesIO(value)
    if not hasattr(value, "read"):  # PyAV would take text for a path
        raise ValueError("not base64")
    return value


#: An open file: a video is too large to be held in memory.
Video = Annotated[
    Any,
    BeforeValidator(_opened),
    WithJsonSchema({"type": "string", "contentEncoding": "base64", "description": "the bytes of a video file"}),
]
Far = Annotated[float, Field(gt=0, lt=1, description="false accept rate, within what the model is calibrated for")]
Threshold = Annotated[float, Field(ge=-1, le=1, description="a cosine to use instead of far")]
Name = Annotated[str, Field(min_length=1, max_length=200)]


class Request(BaseModel):
    """Fields of a JSON body, or parts of a form. Unknown fields are an error."""

    model_config = ConfigDict(extra="forbid")


class VerifyRequest(Request):
    """Two pictures to compare."""

    a: Picture
    b: Picture
    far: Far = DEFAULT_FAR
    threshold: Threshold | None = None
    crops: bool = Field(False, description="show the faces at 16, 32 and 64 pixels")


class FacesRequest(Request):
    """A picture whose faces are wanted."""

    image: Picture
    crops: bool = Field(False, description="show the faces at 16, 32 and 64 pixels")


class EmbedRequest(Request):
    """A picture. The answer is the embedding of its main face."""

    image: Picture


class SearchRequest(Request):
    """A picture of one person or of several people."""

    image: Picture
    top: int = Field(5, ge=1, le=100)
    far: Far = SEARCH_FAR
    threshold: Threshold | None = None
    all: bool = Field(True, description="every face; else the main one")


class EnrolRequest(Request):
    """A picture and the name of the person in it."""

    name: Name
    image: Picture
    force: bool = Field(False, description="also enrol faces that are refused otherwise, e.g. blurred ones")


class WatchRequest(Request):
    """The body of ``POST /watch``: a video."""

    video: Video
    every: int | None = Field(None, ge=1, le=1000, description="look at every n-th frame; about 8 a second if absent")
    far: Far = SEARCH_FAR
    threshold: Threshold | None = None
    crops: bool = Field(True, description="show the best look at each person")


def is_open_file(model: type[BaseModel], name: str) -> bool:
    """Whether a field is an open file."""
    field = model.model_fields.get(name)
    return field is not None and any(getattr(each, "func", None) is _opened for each in field.metadata)


class FaceAnswer(BaseModel):
    """A face: its position in pixels of the picture, its quality and notes."""

    box: list[float] = Field(description="left, top, right, bottom")
    landmarks: list[list[float]] | None
    score: float | None
    detail: float = Field(description="pixels of detail")
    quality: Quality
    notes: list[str]
    crops: dict[str, str] | None = Field(None, description="side in pixels -> data URL")


class Curve(BaseModel):
    """A distribution of similarities as quantiles: each share of the pairs lies below its similarity."""

    shares: list[float]
    similarities: list[float]


class Distributions(BaseModel):
    """Similarities of pairs of one person, and of pairs of two people, at the detail of both faces."""

    same: Curve
    different: Curve


@dataclass(frozen=True, kw_only=True)
class VerifyAnswer(Verification):
    """Whether two faces show the same person."""

    faces: list[FaceAnswer]
    distributions: Distributions | None


class FacesAnswer(BaseModel):
    """All faces of a picture, ordered from left to right."""

    faces: list[FaceAnswer]


class EmbedAnswer(BaseModel):
    """An embedding of length 1, and the model that computed it."""

    embedding: list[float]
    model: str
    fingerprint: str
    face: FaceAnswer


class SearchedFace(FaceAnswer):
    """A face and its identity."""

    answer: Answer


class SearchAnswer(BaseModel):
    """The faces of a picture with their identities, ordered from left to right."""

    faces: list[SearchedFace]


class PersonAnswer(BaseModel):
    """A person of the gallery."""

    name: str
    faces: int
    crop: bool = Field(description="whether a crop is kept")


class PeopleAnswer(BaseModel):
    """All people, and the risk that the gallery gives a stranger a name."""

    people: list[PersonAnswer]
    risk: float
    risk_far: float


class EnrolAnswer(BaseModel):
    """The result of an enrolment."""

    name: str
    added: int
    known: int
    left_out: list[str]
    notes: list[str]


class RemoveAnswer(BaseModel):
    """The removed person, and the number of removed faces."""

    name: str
    removed: int


class TrackAnswer(BaseModel):
    """A track: one person from the first look to the last, times in seconds; see :class:`lrface.video.events.Person`."""

    track: int
    name: str | None
    start: float
    end: float
    faces: int
    similarity: float | None
    threshold: float | None
    risk: float | None
    nearest: str | None
    detail: float
    best_detail: float
    box: list[float]
    best_time: float
    crop: str | None = Field(None, description="the best look, a data URL; in the last line")


class GroupAnswer(BaseModel):
    """All tracks of one person."""

    name: str | None
    tracks: list[TrackAnswer]


class WatchLine(BaseModel):
    """One line of the answer to ``POST /watch``. The last line is ``done`` or ``error``."""

    kind: Literal["progress", "named", "corrected", "ended", "done", "error"]
    time: float | None = Field(None, description="seconds from the start of the video")
    length: float | None = Field(None, description="of the video, in seconds; in the last line, of what was watched")
    person: TrackAnswer | None = None
    frames: int | None = None
    every: int | None = None
    complete: bool | None = Field(None, description="whether the video was watched to its end")
    people: list[GroupAnswer] | None = Field(None, description="in the last line: named people, then unknown people")
    notes: list[str] | None = None
    error: str | None = None


class HealthAnswer(BaseModel):
    """Whether the service works, whether it needs a token, and whether it watches videos."""

    status: Literal["ok"]
    token: bool
    video: bool


class ErrorAnswer(BaseModel):
    """The error, in one line."""

    error: str
