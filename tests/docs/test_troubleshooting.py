"""The messages that the documentation explains are those that lrface gives."""

import ast
import re
from pathlib import Path

import pytest

import lrface

PAGE = Path(__file__).parents[2] / "docs" / "troubleshooting.md"
PACKAGE = Path(lrface.__file__).parent


def explained() -> list[str]:
    """The terms of the page's definition lists, without their outer backticks."""
    terms = re.findall(r"^(`.+`)\n:   ", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    return [term.strip("`").strip() if not term.startswith("``") else term[3:-3] for term in terms]


@pytest.fixture(scope="module")
def said() -> list[str]:
    """Every string of the package; what is filled in while it runs is one ellipsis."""
    found = []
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                parts = [part.value if isinstance(part, ast.Constant) else "…" for part in node.values]
                found.append("".join(map(str, parts)))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
    return found


def test_the_page_explains_something() -> None:
    assert len(explained()) > 40


@pytest.mark.parametrize("message", explained())
def test_lrface_says_it(message: str, said: list[str]) -> None:
    wanted = re.compile(".*".join(map(re.escape, message.split("…"))), re.DOTALL)
    assert any(wanted.search(text) for text in said), f"no string of lrface holds: {message}"
