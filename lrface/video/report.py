"""The report of a watch: one page that works without a network."""

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from lrface.errors import LrfaceError
from lrface.files import atomic_write
from lrface.reporting.style import data_uri, variables
from lrface.video.clusters import Group
from lrface.video.events import Person
from lrface.video.writer import CROPS, SHOWN

#: Number of crops of an unknown person in the command that enrols the person.
ENROLLED = 4


def write_report(out: Path, groups: Sequence[Group], facts: dict[str, Any], gallery: str | None, faces: bool) -> None:
    """Write ``report.html``.

    Args:
        out: the folder of the watch, with its crops.
        groups: everybody who was seen.
        facts: of the source and of the run.
        gallery: the gallery's folder, for the commands in the report.
        faces: show crops.

    Raises:
        LrfaceError: the file cannot be written, or Jinja2 is not installed.
    """
    try:
        from jinja2 import Environment, StrictUndefined
    except ImportError as error:
        raise LrfaceError(f"the report needs more packages ({error}): pip install 'lrface[video]'") from error

    text = Path(__file__).with_name("report.html").read_text(encoding="utf-8")
    template = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    length = max(facts["seconds"], 1e-3)
    unknown = 0
    cards = []
    for group in groups:
        unknown += group.name is None
        title = group.name or f"Unknown {unknown}"
        tracks = [_track(out, person, length, faces) for person in group.tracks]
        command = _command(out, group, gallery) if group.name is None and faces else None
        cards.append({"title": title, "known": group.name is not None, "tracks": tracks, "command": command})
    ticks = [{"left": 25 * place, "text": clock(length * place / 4)} for place in range(5)]
    page = template.from_string(text).stream(
        variables=variables(), source=Path(facts["source"]).name or facts["source"], cards=cards, ticks=ticks,
        facts=_facts(groups, facts, gallery), faces=faces,
    )  # fmt: skip
    with atomic_write(out / "report.html", "w") as file:
        page.dump(file)


def clock(seconds: float) -> str:
    """Format a time: ``0:02.5``, ``12:03``, ``1:02:03``; with tenths of a second below a minute."""
    if seconds < 59.95:
        return f"0:{seconds:04.1f}"
    whole = round(seconds)
    hours, rest = divmod(whole, 3600)
    minutes, left = divmod(rest, 60)
    return f"{hours}:{minutes:02}:{left:02}" if hours else f"{minutes}:{left:02}"


def _crops(out: Path, track: int) -> Iterator[str]:
    """The crops of a track as data URIs. They are read when they are written, as those of an hour would fill the memory."""
    for place in range(SHOWN):
        path = out / CROPS / f"{track:05d}-{place}.jpg"
        if path.is_file():
            yield data_uri(path.read_bytes(), "jpeg")


def _track(out: Path, person: Person, length: float, faces: bool) -> dict[str, Any]:
    left = 100 * person.start / length
    return {
        "number": person.track,
        "left": round(left, 3),
        "width": round(max(0.4, 100 * (person.end - person.start) / length), 3),
        "span": f"{clock(person.start)} to {clock(person.end)}",
        "looks": person.faces,
        "detail": round(person.detail),
        "match": _match(person),
        "crops": _crops(out, person.track) if faces else None,
    }


def _match(person: Person) -> str:
    """The gallery's answer in words."""
    if person.similarity is None or person.threshold is None:
        return ""
    who = "" if person.name else f"nearest {person.nearest}, "
    relation = (
        "above" if person.name else "not above" if person.similarity <= person.threshold else "above, too few looks;"
    )
    text = f"{who}similarity {person.similarity:.3f}, {relation} {person.threshold:.3f}"
    return text if person.risk is None else f"{text}, risk of a stranger {100 * person.risk:.2g} %"


def _command(out: Path, group: Group, gallery: str | None) -> str:
    """The command that enrols an unknown person: the best crop of each of the longest tracks, and more of their crops if few."""
    longest = sorted(group.tracks, key=lambda person: -person.faces)[:ENROLLED]
    files = [out / CROPS / f"{person.track:05d}.jpg" for person in longest]
    more = [out / CROPS / f"{person.track:05d}-{place}.jpg" for person in longest for place in range(SHOWN)]
    more = [path for path in more if path.is_file()]
    missing = min(ENROLLED - len(files), len(more))
    files += [more[(2 * place + 1) * len(more) // (2 * missing)] for place in range(missing)]
    crops = [str(path) for path in files]
    words = ["lrface", "gallery", "add", "NAME", *crops, "--detector", "none", "--gallery", gallery or "gallery"]
    return shlex.join(words)


def _facts(groups: Sequence[Group], facts: dict[str, Any], gallery: str | None) -> list[tuple[str, str]]:
    known = sum(group.name is not None for group in groups)
    tracks = sum(len(group.tracks) for group in groups)
    shown = [
        ("People", f"{len(groups)}, {known} named" if gallery else f"{len(groups)}"),
        ("Tracks", f"{tracks:,}"),
        ("Length", clock(facts["seconds"])),
        ("Frames", f"{facts['frames']:,}, {facts['looked_at']:,} looked at"),
    ]
    if facts["dropped"]:
        shown.append(("Dropped", f"{facts['dropped']:,} frames"))
    return shown
