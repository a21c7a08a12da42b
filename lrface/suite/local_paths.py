"""Removing local paths from reports: files are named relative to the data root and the results folder."""

import re
from pathlib import Path
from typing import Any

from lrface.suite.options import Options


def without_local_paths(value: Any, options: Options) -> Any:
    """Replace the folders of this machine by ``DATA``, ``OUT``, ... in every text of ``value``, which may be any JSON content.

    Rows are read elsewhere and committed. An absolute path in an error or a note would be meaningless there.
    """
    return _hide(value, _named_paths(options))


def _named_paths(options: Options) -> list[tuple[re.Pattern[str], str]]:
    """The patterns of local paths and their replacements; deeper paths come first."""
    named: list[tuple[Path, str]] = [(options.data, "DATA"), (options.out, "OUT")]
    named += [(options.rehearsal, "REHEARSAL")] if options.rehearsal else []
    files = [options.lfw, *options.pairs, options.published, *options.ablations]
    files += [Path(model.spec) for model in options.models if not model.spec.startswith("insightface:")]
    named += [(path, path.name) for path in files if path is not None and path.name]
    named += [(Path.cwd(), "."), (Path.home(), "~")]
    forms: dict[str, str] = {}
    for path, name in named:
        for form in (str(path.absolute()), str(path.resolve()), *([str(path)] if "/" in str(path) else [])):
            forms.setdefault(form, name)
    forms.pop("/", None)
    return [
        (re.compile(rf"(?<![\w./~-]){re.escape(form)}(?![\w-]|\.\w)"), forms[form])
        for form in sorted(forms, key=len, reverse=True)
    ]


def _hide(value: Any, paths: list[tuple[re.Pattern[str], str]]) -> Any:
    if isinstance(value, str):
        for pattern, name in paths:
            value = name.join(pattern.split(value))
        return value
    if isinstance(value, dict):
        return {key: _hide(each, paths) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_hide(each, paths) for each in value]
    return value
