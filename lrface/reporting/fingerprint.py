"""Digests of everything that a result depends on: files, folders of images, and the code that computes the numbers."""

import ast
import hashlib
import json
from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from lrface.errors import LrfaceError
from lrface.files import file_digest, read_json, write_json


def digest(content: Any) -> str:
    """SHA-256, in hex, of anything that JSON can hold."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()


def code_digest(modules: Sequence[str]) -> str:
    """A digest of the code of some modules.

    Comments, docstrings and layout do not change it; a changed statement does. No module is imported.

    Args:
        modules: names such as ``lrface.eval.retrieval``. The name of a package means the files in its folder.

    Raises:
        LrfaceError: there is no such module.
    """
    trees = []
    for path in sorted({path for module in modules for path in _sources(module)}):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            body = getattr(node, "body", None)
            if isinstance(body, list):
                node.body = [line for line in body if not _is_text(line)]  # type: ignore[attr-defined]
        trees.append([path.name, ast.dump(tree)])
    return digest(trees)


def _is_text(line: ast.AST) -> bool:
    return isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant) and isinstance(line.value.value, str)


def _sources(module: str) -> list[Path]:
    """Source files of a module. Python looks up the top package only: a lookup of the rest would import packages."""
    top, *rest = module.split(".")
    spec = find_spec(top)
    if spec is not None and spec.origin is not None:
        place = Path(spec.origin)
        path = place.parent.joinpath(*rest) if rest else place.with_suffix("")
        if path.is_dir():
            return sorted(path.glob("*.py"))
        if path.with_suffix(".py").is_file():
            return [path.with_suffix(".py")]
    raise LrfaceError(f"no module {module}: this installation of lrface is damaged")


class FileDigests:
    """Digests of data files. They are stored with size and modification time, so that a second run need not read the files.

    Args:
        memory: JSON file in which the digests are stored.
    """

    def __init__(self, memory: Path) -> None:
        self._memory = memory
        self._known: dict[str, list[str]] = read_json(memory) if memory.exists() else {}

    def of(self, root: str | Path, files: Iterable[str | Path] | None = None) -> str:
        """A digest of the contents of a file, of a folder with everything below it, or of some files in it.

        It depends on the names of the files inside the folder, but not on the folder's own path.

        Args:
            root: the file or the folder.
            files: paths relative to ``root``; None: all files.

        Raises:
            LrfaceError: a file cannot be read.
        """
        root = Path(root)
        if files is None:
            chosen = [root] if root.is_file() else sorted(path for path in root.rglob("*") if path.is_file())
        else:
            chosen = [root / file for file in files]
        try:
            stats = [(path, path.stat()) for path in chosen]
        except OSError as error:
            raise LrfaceError(f"cannot read {error.filename}: {error.strerror or error}") from error
        state = digest([[str(path), stat.st_size, stat.st_mtime_ns] for path, stat in stats])
        name = digest([str(root.resolve()), None if files is None else [str(path) for path in chosen]])
        known = self._known.get(name)
        if known and known[0] == state:
            return known[1]
        result = digest([[str(path.relative_to(root)), file_digest(path)] for path, _ in stats])
        self._known[name] = [state, result]
        write_json(self._memory, self._known)
        return result
