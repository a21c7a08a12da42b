"""``lrface gallery list``, ``check`` and ``info``."""

import json
import sys
from typing import Any

import click

from lrface.cli.gallery.options import GALLERY, JSON, model_options, open_gallery


@click.command("list")
@GALLERY
@JSON
def list_(folder: str, as_json: bool) -> None:
    """List the people with their numbers of faces."""
    from lrface.recognition.gallery import Gallery

    with Gallery.open(folder) as gallery:
        people = gallery.people()
        facts = gallery.info()
    if as_json:
        risk = {"risk": facts["risk"], "risk_far": facts["risk_far"]}
        click.echo(json.dumps({"people": {person.name: person.faces for person in people}} | risk))
        return
    for person in people:
        click.echo(f"{person.faces:6,}  {person.name}")
    click.echo(f"{len(people):,} people, {sum(person.faces for person in people):,} faces; {_risk(facts)}")


@click.command("check")
@GALLERY
@JSON
@model_options
def check(folder: str, as_json: bool, **model: Any) -> None:
    """List faces that may have a wrong name: they resemble another person more than their own, or resemble nobody.

    Nothing is changed. The decision uses the median of a face's similarities to all faces of a person. Exit status: 0 no
    such face, 1 some, 2 error. To look for damaged files, use `lrface gallery info --check`.
    """
    with open_gallery(folder, model, create=False) as gallery:
        suspects = gallery.suspects(progress=True)
        faces = gallery.info()["faces"]
    if as_json:
        click.echo(json.dumps({"faces": faces, "suspects": [suspect.as_dict() for suspect in suspects]}))
    else:
        for suspect in suspects:
            click.echo(f"{suspect.name}: {suspect.photo}: {suspect.reason}")
        click.echo(f"{faces:,} faces checked, {len(suspects):,} to look at")
    sys.exit(1 if suspects else 0)


@click.command("info")
@click.option("--check", is_flag=True, help="Read all files and compare them; exit status 2 if something is wrong.")
@GALLERY
@JSON
def info(check: bool, folder: str, as_json: bool) -> None:
    """Show size, model and index of the gallery, and the measured recall of the index."""
    from lrface.recognition.gallery import Gallery

    with Gallery.open(folder) as gallery:
        facts = gallery.info()
        faults = gallery.check() if check else None
    if as_json:
        click.echo(json.dumps(facts | ({} if faults is None else {"faults": faults}), indent=2))
    else:
        click.echo(_text(facts))
        for fault in faults or []:
            click.echo(f"fault: {fault}")
        if faults == []:
            click.echo("checked: every file is sound, and they agree")
    sys.exit(2 if faults else 0)


def _risk(facts: dict[str, Any]) -> str:
    from lrface.recognition.gallery.risk import percent

    return f"risk of a stranger up to {percent(facts['risk'])} at a false accept rate of {facts['risk_far']:g} a comparison"


def _text(facts: dict[str, Any]) -> str:
    index = facts["index"]
    if index is None:
        searched = "none needed yet, exact search"
    elif index["recall"] is None:
        searched = f"exact, {index['faces']:,} faces"
    else:
        recall = index["recall"]
        searched = (
            f"approximate, {index['faces']:,} faces; recall {recall['first']:.4f} of the nearest face and "
            f"{recall['ten']:.4f} of the ten nearest, on {recall['queries']} queries among {recall['faces']:,} faces"
        )
    return "\n".join(
        (
            f"people   {facts['people']:,}",
            f"faces    {facts['faces']:,}",
            f"model    {facts['model_name']} ({facts['model'][:12]}), {facts['dim']}-d",
            f"index    {searched}",
            f"limit    exact up to {facts['exact_limit']:,} faces",
            f"search   {_risk(facts)}",
            f"size     {facts['bytes'] / 1e6:,.1f} MB in {facts['folder']}, begun {facts['created']}",
        )
    )
