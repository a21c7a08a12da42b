"""The house: which room may import which, read from the imports themselves. No room imports one above it, no module itself."""

import ast
from pathlib import Path

import pytest

import lrface

#: From the ground floor up. A module may import from its own room and from those before it. README's layout names the same.
ROOMS = (
    "errors", "version", "files", "runtimes", "faces", "data", "losses", "models", "eval", "reporting", "train",
    "recognition", "video", "finetune", "objects", "export", "sweep", "suite", "serve", "cli",
)  # fmt: skip

#: What must not know of faces in files: a loss takes tensors, a network takes batches.
APART = {"losses": {"data", "models", "faces"}, "models": {"data"}}

ROOT = {"__init__", "__main__", "errors", "files", "version"}

PACKAGE = Path(lrface.__file__).parent


def read_imports(package: Path) -> dict[str, set[str]]:
    """Module -> the modules of the package that it imports anywhere, within functions too."""
    files = {_module(package, path): path for path in package.rglob("*.py")}
    imports = {}
    for module, path in files.items():
        found = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                full = {f"{node.module}.{alias.name}" for alias in node.names}
                found |= {name if name in files else node.module for name in full}
        imports[module] = {name for name in found if name in files and name != module}
    return imports


def _module(package: Path, path: Path) -> str:
    parts = [package.name, *path.relative_to(package).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def find_circle(imports: dict[str, set[str]]) -> list[str]:
    """Modules that import each other in turn, the first one again at the end; empty if there are none."""
    done: set[str] = set()

    def visit(module: str, path: list[str]) -> list[str]:
        if module in path:
            return [*path[path.index(module) :], module]
        if module in done:
            return []
        for name in sorted(imports[module]):
            if circle := visit(name, [*path, module]):
                return circle
        done.add(module)
        return []

    return next((circle for module in sorted(imports) if (circle := visit(module, []))), [])


def find_upward(imports: dict[str, set[str]]) -> list[str]:
    """``a -> b`` for each import of a higher room, or of one that the importing room is to be kept apart from."""
    wrong = []
    for module, names in imports.items():
        if module.count(".") == 0 or module == "lrface.__main__":
            continue  # the front door: names of every room are had through it
        room = module.split(".")[1]
        for name in names:
            other = name.split(".")[1] if "." in name else ""
            if other and (ROOMS.index(other) > ROOMS.index(room) or other in APART.get(room, ())):
                wrong.append(f"{module} -> {name}")
    return sorted(wrong)


def test_the_root_holds_five_files():
    assert {path.stem for path in PACKAGE.glob("*.py")} == ROOT


def test_every_room_has_its_floor():
    rooms = {path.name for path in PACKAGE.iterdir() if path.is_dir() and any(path.glob("*.py"))}
    assert rooms <= set(ROOMS)


def test_there_are_no_circles():
    assert find_circle(read_imports(PACKAGE)) == []


def test_no_room_imports_a_higher_one():
    assert find_upward(read_imports(PACKAGE)) == []


@pytest.fixture
def house(tmp_path):
    """A package of two rooms, to break."""
    package = tmp_path / "lrface"
    for name, text in {
        "__init__": "", "faces/__init__": "", "faces/align": "", "data/__init__": "",
        "data/store": "from lrface.faces import align\n",
    }.items():  # fmt: skip
        path = package / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return package


def test_a_circle_is_found(house):
    assert find_circle(read_imports(house)) == []
    (house / "faces" / "align.py").write_text("def crop():\n    import lrface.data.store\n")
    assert find_circle(read_imports(house)) == ["lrface.data.store", "lrface.faces.align", "lrface.data.store"]


def test_an_import_of_a_higher_room_is_found(house):
    assert find_upward(read_imports(house)) == []
    (house / "faces" / "align.py").write_text("from lrface.data.store import Store\n")
    assert find_upward(read_imports(house)) == ["lrface.faces.align -> lrface.data.store"]


def test_a_loss_that_reads_data_is_found(house):
    (house / "losses").mkdir()
    (house / "losses" / "kd.py").write_text("from lrface.data import store\n")
    assert find_upward(read_imports(house)) == ["lrface.losses.kd -> lrface.data.store"]
