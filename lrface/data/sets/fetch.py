"""Downloading LFW with scikit-learn's fetcher, which verifies checksums."""

import shutil
import tarfile
import warnings
from http.client import HTTPException
from pathlib import Path

from lrface.data.sets.pairs import missing_images, read_pairs
from lrface.errors import LrfaceError
from lrface.files import require_path

PAIR_FILES = ("pairs.txt", "pairsDevTrain.txt", "pairsDevTest.txt")


def fetch_lfw(out: str | Path) -> int:
    """Download LFW, funneled, 250 x 250 pixels (some 230 MB), unless it is there already.

    The result is ``out/images/NAME/NAME_0001.jpg`` and the three pairs files in ``out``. All images appear at once at the
    end, so an interrupted download leaves no partial data set. Repeat the call to try again.

    Returns:
        The number of images.

    Raises:
        LrfaceError: the download was refused or damaged, the disk is full, or ``out/images`` holds something else.
    """
    out = Path(require_path(out))
    if (out / "images").exists():
        return _check(out, f"; remove {out} to fetch it anew")
    work = out / ".download"
    home = work / "lfw_home"
    try:
        # Left by an earlier call that was killed while unpacking.
        shutil.rmtree(home / "lfw_funneled", ignore_errors=True)
        work.mkdir(parents=True, exist_ok=True)
        _download(work)
        for name in PAIR_FILES:
            (home / name).replace(out / name)
        (home / "lfw_funneled").replace(out / "images")
        shutil.rmtree(work, ignore_errors=True)
    except (OSError, HTTPException, tarfile.TarError, EOFError) as error:
        _tidy(work)
        reason = " ".join(str(error).split()) or type(error).__name__
        raise LrfaceError(
            f"cannot download LFW ({reason:.200}): try again with a network, or get it by hand as "
            "`lrface data where lfw` says"
        ) from error
    return _check(out, "")


def _download(work: Path) -> None:
    from sklearn.datasets import fetch_lfw_pairs

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # each try gives a warning; the last failure becomes an error
        # It downloads all images and all pairs files, and then loads the requested pairs. These are the fewest, and small.
        fetch_lfw_pairs(subset="test", data_home=str(work), resize=0.1, n_retries=1)


def _tidy(work: Path) -> None:
    """After a failure: keep complete downloaded files for the next try, remove empty folders."""
    if not any(path.is_file() for path in work.rglob("*")):
        shutil.rmtree(work, ignore_errors=True)
        if work.parent.is_dir() and not any(work.parent.iterdir()):
            work.parent.rmdir()


def _check(out: Path, advice: str) -> int:
    missing = [name for file in PAIR_FILES for name in missing_images(read_pairs(out / file), out / "images")]
    if missing:
        raise LrfaceError(f"{out} is not a whole LFW: {len(missing)} images are missing, first {missing[0]}{advice}")
    return sum(1 for _ in (out / "images").glob("*/*.jpg"))
