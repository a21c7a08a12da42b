"""The schema of the service: the fields of requests and answers."""

import base64
import binascii
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from lrface.recognition.answers import DEFAULT_FAR
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


class Quality(BaseModel):
    """The quality of a face; see :class:`lrface.faces.quality.Quality`."""

    pixels: float
    resolution: float
    contrast: float
    recognisability: float | None
    warnings: list[str]


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


class VerifyAnswer(BaseModel):
    """Whether two faces show the same person; see :class:`lrface.recognition.answers.Verification`."""

    similarity: float
    same: bool
    threshold: float
    far: float | None
    probability: float | None
    resolutions: list[float] | None
    members: list[str] | None
    notes: list[str]
    warnings: list[str]
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


class MatchAnswer(BaseModel):
    """A person of the gallery, compared with a face; see :class:`lrface.recognition.gallery.Match`."""

    model_config = ConfigDict(extra="allow")

    name: str
    similarity: float
    threshold: float
    same: bool
    photo: str
    risk: float | None


class WhoAnswer(BaseModel):
    """The identity of a face; see :class:`lrface.recognition.gallery.Answer`."""

    model_config = ConfigDict(extra="allow")

    name: str | None
    matches: list[MatchAnswer]
    far: float | None
    people: int
    faces: int
    method: str
    risk: float | None
    notes: list[str]
    resolution: float | None
    warnings: list[str]


class SearchedFace(FaceAnswer):
    """A face and its identity."""

    answer: WhoAnswer


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


class HealthAnswer(BaseModel):
    """Whether the service works, and whether it needs a token."""

    status: Literal["ok"]
    token: bool


class ErrorAnswer(BaseModel):
    """The error, in one line."""

    error: str
