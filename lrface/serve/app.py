"""The FastAPI application: its routes, their answers and the error handlers."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI, HTTPException, Request
from fastapi import Path as PathParameter
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, Response, StreamingResponse
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException as AnyHTTPException

from lrface.errors import LrfaceError
from lrface.recognition.encoder import ImageError
from lrface.serve import schema
from lrface.serve.clip import can_watch, watch_clip
from lrface.serve.engine import Engine, UnknownPersonError
from lrface.serve.guard import Guard
from lrface.serve.lines import NDJSON, as_ndjson, follow
from lrface.serve.metrics import Metrics
from lrface.serve.parse import body_of, parse
from lrface.serve.pool import RETRY_SECONDS, BusyError, Pool
from lrface.serve.settings import Settings
from lrface.version import __version__

PAGE = Path(__file__).parent / "page"

#: Seconds after which a client should ask again while another video is watched.
RETRY_WATCH = 15

PersonName = Annotated[str, PathParameter(min_length=1, max_length=200)]

_log = logging.getLogger("lrface.serve")
_STATUSES = {
    400: "not readable", 401: "no token, or a wrong one", 403: "asked by another page", 408: "the upload took too long",
    413: "too large", 415: "neither a form nor JSON", 421: "not sent to this machine's name",
    422: "a picture or a field that cannot be used", 503: "busy: come back after Retry-After seconds",
}  # fmt: skip
_ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": schema.ErrorAnswer, "description": text} for status, text in _STATUSES.items()
}
_NOBODY: dict[int | str, dict[str, Any]] = {404: {"model": schema.ErrorAnswer, "description": "nobody is called so"}}


def create_app(engine: Engine, settings: Settings) -> FastAPI:
    """Make the application.

    Args:
        engine: the model and the gallery. They are closed when the application shuts down.
        settings: of the service.
    """
    pool = Pool(settings.workers, settings.waiting, settings.seconds)
    videos = Pool(max(1, settings.videos), 0, None, "another video is being watched", RETRY_WATCH)
    watches = settings.videos > 0 and can_watch()
    metrics = Metrics(lambda: pool.held, lambda: videos.held)
    for each in {engine.encoder, engine.searcher}:
        each.notify = metrics.batch.observe

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        pool.close()
        videos.close()
        engine.close()

    app = FastAPI(
        title="lrface", version=__version__, lifespan=lifespan, docs_url=None, redoc_url=None, responses=_ERRORS
    )  # FastAPI's own documentation pages load scripts from another server
    app.state.engine = engine
    app.add_middleware(Guard, settings=settings, metrics=metrics)
    _explain_errors(app)
    _add_routes(app, engine, pool)
    _add_people(app, engine, pool)
    _add_watch(app, engine, videos, settings.video_seconds, watches)

    @app.get("/health")
    async def health() -> schema.HealthAnswer:
        """Whether the service works, whether it needs a token, and whether it watches videos."""
        return schema.HealthAnswer(status="ok", token=settings.token is not None, video=watches)

    @app.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
    async def show_metrics() -> Response:
        """Counts and times in Prometheus's text format."""
        return Response(metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    @app.get("/", include_in_schema=False)
    async def page() -> FileResponse:
        """The web page."""
        return FileResponse(PAGE / "index.html")

    app.mount("/page", StaticFiles(directory=PAGE))
    return app


def _add_routes(app: FastAPI, engine: Engine, pool: Pool) -> None:
    @app.post("/verify", response_model=schema.VerifyAnswer, openapi_extra=body_of(schema.VerifyRequest))
    async def verify(request: Request) -> dict[str, Any]:
        """Whether two pictures show the same person."""
        asked = await parse(request, schema.VerifyRequest)
        return await pool.run(engine.verify, asked.a, asked.b, asked.far, asked.threshold, asked.crops)

    @app.post("/faces", response_model=schema.FacesAnswer, openapi_extra=body_of(schema.FacesRequest))
    async def faces(request: Request) -> dict[str, Any]:
        """All faces of a picture, with box, pixels of detail and quality."""
        asked = await parse(request, schema.FacesRequest)
        return await pool.run(engine.faces, asked.image, asked.crops)

    @app.post("/embed", response_model=schema.EmbedAnswer, openapi_extra=body_of(schema.EmbedRequest))
    async def embed(request: Request) -> dict[str, Any]:
        """The embedding of the main face."""
        asked = await parse(request, schema.EmbedRequest)
        return await pool.run(engine.embed, asked.image)

    @app.post("/search", response_model=schema.SearchAnswer, openapi_extra=body_of(schema.SearchRequest))
    async def search(request: Request) -> dict[str, Any]:
        """The identities of the faces in a picture."""
        asked = await parse(request, schema.SearchRequest)
        return await pool.run(engine.search, asked.image, asked.top, asked.far, asked.threshold, asked.all)


def _add_people(app: FastAPI, engine: Engine, pool: Pool) -> None:
    @app.get("/people", response_model=schema.PeopleAnswer)
    async def people() -> dict[str, Any]:
        """All people in the gallery."""
        return await pool.run(engine.people)

    @app.post("/people", response_model=schema.EnrolAnswer, openapi_extra=body_of(schema.EnrolRequest))
    async def enrol(request: Request) -> dict[str, Any]:
        """Enrol the main face of a picture. The enrolment is on the disk when the answer is sent."""
        asked = await parse(request, schema.EnrolRequest)
        return await pool.run(engine.enrol, asked.name, asked.image, asked.force)

    @app.get("/people/{name:path}/crop", response_class=Response,
             responses={200: {"content": {"image/png": {}}}, **_NOBODY})  # fmt: skip
    async def crop(name: PersonName) -> Response:
        """A crop of a person, as PNG, if the service keeps crops."""
        return Response(await pool.run(engine.crop, name), media_type="image/png")

    @app.delete("/people/{name:path}", response_model=schema.RemoveAnswer, responses=_NOBODY)
    async def remove(name: PersonName) -> dict[str, Any]:
        """Erase a person completely: embeddings, index entry and crops."""
        return await pool.run(engine.remove, name)


def _add_watch(app: FastAPI, engine: Engine, videos: Pool, seconds: float, watches: bool) -> None:
    lines = {NDJSON: {"schema": schema.WatchLine.model_json_schema()}}
    answers: dict[int | str, dict[str, Any]] = {
        200: {"content": lines, "description": "JSON objects, one a line, as they are known"},
        404: {"model": schema.ErrorAnswer, "description": "this service watches no videos"},
    }

    @app.post("/watch", response_class=Response, openapi_extra=body_of(schema.WatchRequest), responses=answers)
    async def watch(request: Request) -> Response:
        """Who was there when in a video: a line for each thing that is found out, everybody in the last one."""
        if not watches:
            raise HTTPException(404, "this service watches no videos")
        asked = await parse(request, schema.WatchRequest)
        events = follow(
            videos, watch_clip, engine, asked.video, asked.every, asked.far, asked.threshold, asked.crops, seconds
        )
        first = await anext(events)  # what is wrong with the request comes out here
        return StreamingResponse(as_ndjson(first, events), media_type=NDJSON)


def _explain_errors(app: FastAPI) -> None:
    """Answer each error with one line of JSON. It must not name a path of this machine."""

    def answer(status: int, text: str, headers: dict[str, str] | None = None) -> JSONResponse:
        return JSONResponse({"error": text}, status, headers)

    @app.exception_handler(BusyError)
    async def busy(_: Request, error: BusyError) -> JSONResponse:
        return answer(503, str(error), {"retry-after": str(error.retry)})

    @app.exception_handler(LrfaceError)
    async def mistaken(_: Request, error: LrfaceError) -> JSONResponse:
        if isinstance(error, UnknownPersonError):
            return answer(404, str(error))
        if isinstance(error, ImageError) or "/" not in str(error):
            return answer(422, str(error))
        _log.error("%s", error)
        return answer(503, "the gallery cannot be used now: see the service's log", {"retry-after": str(RETRY_SECONDS)})

    @app.exception_handler(RequestValidationError)
    async def misfit(_: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        return answer(422, f"{first['loc'][-1]}: {first['msg']}")

    @app.exception_handler(AnyHTTPException)
    async def refused(_: Request, error: HTTPException) -> JSONResponse:
        return answer(error.status_code, str(error.detail), dict(error.headers or {}))
