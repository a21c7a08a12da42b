"""Learn what many looks of a video do to a threshold, and write it beside the calibration by quality.

    python tools/calibrate_looks.py lrface --films work/train-12 --films work/train-16 --films work/train-24 \\
        --images data/lfw_mtcnn --pairs lfw/pairsDevTrain.txt

The films are those of benchmarks/watch_film.py, watched with this model; the templates of their people are compared with photos
of others, which the pairs name. For each count of looks and each rate the shift is how far the similarity that this share of
them exceeds lies above the threshold of a single face. Do this after tools/ship_family.py or tools/ship.py.
"""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import numpy as np

from lrface.data.sets.pair_set import from_store
from lrface.errors import LrfaceError
from lrface.eval.verification import FARS
from lrface.faces.calibration import CARD_KEY, Calibration
from lrface.faces.looks import LOOKS_KEY, LooksShift
from lrface.faces.quality import assess
from lrface.files import file_digest, read_json, write_json
from lrface.models import shipped
from lrface.recognition.encoder import FaceEncoder
from lrface.video.template import Template

COUNTS = (1, 2, 4, 8, 16, 32)

#: Largest number of photos that templates are compared with.
PHOTOS = 3000

#: Smallest number of pairs above a threshold. A rate with fewer is not fitted: the nearest fitted one stands for it.
FEWEST = 20

#: Parts of a clip that make a template each, at most: those of one clip are much alike.
DRAWS = 8


def draw_looks(looks: list[Any], count: int) -> list[list[Any]]:
    """Looks for one template or several, each spread over the whole clip; none where there are too few."""
    draws = min(DRAWS, len(looks) // count)
    if not draws:
        return []
    places = np.linspace(0, len(looks) - 1, count * draws).round().astype(int)
    return [[looks[place] for place in places[draw::draws]] for draw in range(draws)]


def make_template(looks: list[Any]) -> Template:
    """As a watch makes it."""
    template = Template()
    for look in looks:
        template.add(look)
    return template


def fit(
    films: dict[str, list[Any]], photos: np.ndarray, details: np.ndarray, owners: np.ndarray, calibration: Calibration
) -> LooksShift:
    """The shifts.

    Args:
        films: looks at each person, by name.
        photos: float32 ``[n, dim]``, L2-normalised.
        details: float64 ``[n]``, pixels of detail.
        owners: str ``[n]``, whose photo each is.
        calibration: of single faces.

    Raises:
        LrfaceError: nobody was looked at often enough.
    """
    plain = replace(calibration, looks=None)
    pairs = sum(int((owners != name.split(":")[-1]).sum()) for name in films)
    fitted = [far for far in FARS if pairs * far >= FEWEST]
    if not fitted:
        raise LrfaceError(f"{pairs:,} pairs of people and photos are too few: film more people, or name more photos")
    shifts: dict[float, list[float]] = {far: [] for far in fitted}
    for count in COUNTS:
        margins: dict[float, list[np.ndarray]] = {far: [] for far in fitted}
        for name, looks in films.items():
            others = owners != name.split(":")[-1]
            for drawn in draw_looks(looks, count):  # nobody is in a template of more looks than there are
                template = make_template(drawn)
                cosines = photos[others] @ template.embedding
                for far in fitted:
                    limits = plain.threshold(far, template.detail, details[others])
                    margins[far].append((cosines - limits).astype(np.float32))
        for far in fitted:
            if not margins[far]:
                raise LrfaceError(f"nobody was looked at {count} times: film longer clips")
            shifts[far].append(float(np.quantile(np.concatenate(margins[far]), 1 - far)))
    return LooksShift(np.array(COUNTS, np.float64), {far: np.array(row) for far, row in shifts.items()})


def embed_photos(
    encoder: FaceEncoder, images: str, pairs: tuple[str, ...], most: int = PHOTOS
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One photo a person of those that pairs name: embeddings, pixels of detail, names.

    Raises:
        LrfaceError: the store or a list cannot be read.
    """
    listed = from_store(images, pairs)
    first = {Path(name).parent.name: place for place, name in reversed(list(enumerate(listed.names)))}
    names = sorted(first)[:most]
    crops = [listed.images[first[name]] for name in names]
    details = [assess(crop).resolution for crop in crops]
    return encoder.embed_crops(crops, resolutions=details), np.array(details), np.array(names)


def read_films(folders: tuple[Path, ...], fingerprint: str) -> dict[str, list[Any]]:
    """The looks of several films, by film and name.

    Raises:
        LrfaceError: a film was watched with another model.
    """
    sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
    from watch_film import RECORD, read_film

    found: dict[str, list[Any]] = {}
    for folder in folders:
        if read_json(folder / RECORD)["model"] != fingerprint:
            raise LrfaceError(f"{folder} was watched with another model: film again")
        found |= {f"{folder.name}:{name}": looks for name, looks in read_film(folder)[0].items()}
    return found


def write(name: str, looks: LooksShift) -> Path:
    """Put the shifts into the family's file, for the students alone: with the teachers similarities are others.

    Raises:
        LrfaceError: there is no such family.
    """
    path = shipped.find_family(name)
    if path is None:
        raise LrfaceError(f"there is no family {name}: ship it first")
    record = read_json(path)
    record["card"][CARD_KEY][LOOKS_KEY] = looks.as_dict()
    write_json(path, record)
    listing = shipped.listing()
    listing["sha256"][path.name] = file_digest(path)
    write_json(shipped.WEIGHTS / shipped.LISTING, listing)
    return path


@click.command()
@click.argument("name")
@click.option("--films", multiple=True, required=True, type=click.Path(path_type=Path, exists=True), help="Folders.")
@click.option("--images", required=True, type=click.Path(), help="A store of the photos.")
@click.option("--pairs", multiple=True, required=True, type=click.Path(), help="Lists that name them; View 1's train.")
@click.option("--photos", default=PHOTOS, show_default=True, type=click.IntRange(1), help="Largest number of photos.")
def main(name: str, films: tuple[Path, ...], images: str, pairs: tuple[str, ...], photos: int) -> None:
    """Calibrate the family NAME."""
    try:
        encoder = FaceEncoder.load(name, threads=1)
        if encoder.calibration is None:
            raise LrfaceError(f"{name} is not calibrated by quality: tools/ship_family.py does that")
        found = read_films(films, encoder.embedder.fingerprint)
        rows, details, owners = embed_photos(encoder, images, pairs, photos)
        looks = fit(found, rows, details, owners, encoder.calibration)
        facts = {"films": [folder.name for folder in films], "people": len(found), "photos": len(rows)}
        path = write(name, replace(looks, facts=facts))
    except LrfaceError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(2)
    for far, row in looks.shifts.items():
        click.echo(f"shift at {far:<6g} " + " ".join(f"{value:7.4f}" for value in row) + f"   (of {COUNTS} looks)")
    click.echo(f"{path} written")


if __name__ == "__main__":
    main()
