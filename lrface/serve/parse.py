"""Parsing of request bodies: a form with files, or JSON with base64."""

from typing import Any, TypeVar

from fastapi import HTTPException, Request
from pydantic import BaseModel, ValidationError
from starlette.datastructures import UploadFile
from starlette.requests import ClientDisconnect

M = TypeVar("M", bound=BaseModel)

#: Maximum number of parts of a form.
MOST_PARTS = 10


def body_of(model: type[BaseModel]) -> dict[str, Any]:
    """The OpenAPI description of a body that :func:`parse` reads."""
    schema = model.model_json_schema()
    form = model.model_json_schema()
    for field in form["properties"].values():
        if field.get("contentEncoding"):
            field.clear()
            field.update({"type": "string", "format": "binary", "description": "an image file"})
    content = {"multipart/form-data": {"schema": form}, "application/json": {"schema": schema}}
    return {"requestBody": {"required": True, "content": content}}


async def parse(request: Request, model: type[M]) -> M:
    """Parse the body of a request into ``model``.

    Raises:
        HTTPException: 415 if the body is neither a form nor JSON, 400 if it cannot be read, 422 if a field is wrong.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    try:
        if kind == "multipart/form-data":
            fields = await _form(request)
        elif kind == "application/json":
            fields = await request.json()
        else:
            raise HTTPException(415, "send multipart/form-data with files, or application/json with base64")
        return model.model_validate(fields)
    except ValidationError as error:
        raise HTTPException(422, _first(error)) from error
    except ClientDisconnect as error:  # the client has gone, so it does not get this answer
        raise HTTPException(400, "the request ended early") from error
    except (ValueError, RecursionError) as error:
        raise HTTPException(400, "the body cannot be read") from error


async def _form(request: Request) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    async with request.form(max_files=MOST_PARTS, max_fields=MOST_PARTS) as form:
        for key, value in form.multi_items():
            if key in fields:
                raise HTTPException(422, f"{key[:50]}: given twice")
            fields[key] = await value.read() if isinstance(value, UploadFile) else value
    return fields


def _first(error: ValidationError) -> str:
    """One line about the first wrong field."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    where = ".".join(str(part)[:50] for part in first["loc"]) or "the body"
    return f"{where}: {first['msg']}"
