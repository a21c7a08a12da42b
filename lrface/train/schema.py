"""Closed schemas read from YAML. An unknown or mistyped key gives one clear line that names the nearest known key.

OmegaConf reads the file (interpolation and ``--set`` overrides), and pydantic checks it.
"""

import difflib
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, ValidationError, model_serializer

from lrface.errors import LrfaceError
from lrface.files import looked_in, require_path


class Section(BaseModel):
    """A part of a closed schema: unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    #: Keys that are left out of what is written while they have their default: an older recipe stays equal to itself, for
    #: checkpoints and for keys of results.
    _unwritten: ClassVar[frozenset[str]] = frozenset()

    @model_serializer(mode="wrap")
    def _without_unwritten(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        content: dict[str, Any] = handler(self)
        fields = type(self).model_fields
        return {
            key: value
            for key, value in content.items()
            if key not in self._unwritten or getattr(self, key) != fields[key].get_default(call_default_factory=True)
        }


def read_yaml(path: str | Path, what: str, overrides: tuple[str, ...] = ()) -> Any:
    """Read the mapping in a YAML file and resolve its interpolations.

    Args:
        path: YAML file.
        what: the kind of file, for errors: ``recipe``, ``sweep``.
        overrides: ``section.key=value``, applied on top.

    Raises:
        LrfaceError: the file is missing or not YAML, or an override is malformed.
    """
    from omegaconf import DictConfig, OmegaConf
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    if not Path(require_path(path)).is_file():
        raise LrfaceError(f"no such {what}: {path} ({looked_in(path)})")
    try:
        content = OmegaConf.load(path)
        if not isinstance(content, DictConfig):
            raise LrfaceError(f"{path} is not a {what}: it holds a list")
        for text in overrides:
            content.merge_with(_parse_override(text))
        return OmegaConf.to_container(content, resolve=True)
    except (YAMLError, OmegaConfBaseException, UnicodeDecodeError, OSError) as error:
        raise LrfaceError(f"{path} is not a {what} that can be read: {_line(error)}") from error


def _parse_override(text: str) -> Any:
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    key, sign, _ = text.partition("=")
    if not sign or not all(part.isidentifier() for part in key.split(".")):
        raise LrfaceError(f"--set {text}: write it as section.key=value")
    try:
        return OmegaConf.from_dotlist([text])
    except (YAMLError, OmegaConfBaseException) as error:
        raise LrfaceError(f"--set {text}: the value is not YAML: {_line(error)}") from error


def _line(error: Exception) -> str:
    return " ".join(str(error).split())


Schema = TypeVar("Schema", bound=Section)


def parse(schema: type[Schema], content: Any, where: str) -> Schema:
    """Check content against a closed schema. ``where`` is its name in errors.

    Raises:
        LrfaceError: a key is unknown, mistyped or missing.
    """
    try:
        return schema.model_validate(content)
    except ValidationError as error:
        faults = "; ".join(_explain(schema, fault) for fault in error.errors())
        raise LrfaceError(f"{where}: {faults}") from error


def _explain(schema: type[Section], fault: Any) -> str:
    place = ".".join(str(part) for part in fault["loc"])
    if fault["type"] == "extra_forbidden":
        known = _known_keys(schema, fault["loc"][:-1])
        nearest = difflib.get_close_matches(str(fault["loc"][-1]), known, n=1, cutoff=0.5)
        hint = f"did you mean {nearest[0]!r}?" if nearest else f"known here: {', '.join(known)}"
        return f"unknown key {place!r}: {hint}"
    if fault["type"] == "missing":
        return f"the key {place!r} is missing"
    message = fault["msg"].removeprefix("Value error, ")
    return f"{place}: {message} (got {fault['input']!r})" if place else message


def _known_keys(schema: type[Section], place: tuple[Any, ...]) -> list[str]:
    """The keys of the section at ``place``. The type of an optional section is unwrapped."""
    section: Any = schema
    for part in place:
        annotation = section.model_fields[part].annotation
        inner = [kind for kind in getattr(annotation, "__args__", ()) if kind is not type(None)]
        section = inner[0] if inner else annotation
    return sorted(section.model_fields)
