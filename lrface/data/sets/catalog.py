"""The field's data sets: purpose, publisher, terms of use, and file layout of each.

Programs can download LFW (:mod:`lrface.data.sets.fetch`) and three sets of objects (:mod:`lrface.objects.data.fetch`). For the
others, the user has to fill in a form or use a cloud drive.
"""

import difflib
from dataclasses import dataclass
from pathlib import Path

from lrface.errors import LrfaceError
from lrface.files import require_path

ZOO = "https://github.com/deepinsight/insightface/tree/master/recognition/_datasets_"
RESEARCH = "non-commercial research"


@dataclass(frozen=True)
class DataSet:
    """One data set.

    Attributes:
        name: its name in commands.
        title: its full name and size.
        purpose: what it is used for.
        terms: its terms of use in a few words; only the publisher's text is binding.
        source: web page for applying or downloading.
        layout: the files that must be under the data root.
        places: alternative locations, each as a few glob patterns under the data root that must all match.
        use: the commands that use it.
    """

    name: str
    title: str
    purpose: str
    terms: str
    source: str
    layout: str
    places: tuple[tuple[str, ...], ...]
    use: str


@dataclass(frozen=True)
class Found:
    """The part of a data set that is present under a data root.

    Attributes:
        dataset: the data set.
        present: the paths that were found, in the most complete location.
        missing: the patterns of that location without a match; empty if the data set is complete.
    """

    dataset: DataSet
    present: tuple[Path, ...]
    missing: tuple[str, ...]

    @property
    def state(self) -> str:
        """``found``, ``incomplete`` or ``missing``."""
        return "found" if not self.missing else "incomplete" if self.present else "missing"


def _records(name: str, title: str, folder: str, store: str, photos: str | None = None) -> DataSet:
    layout = f"{folder}/train.rec, train.idx, property: the archive of insightface's data set zoo, unpacked"
    places = [(f"{folder}/train.rec", f"{folder}/train.idx"), (f"{store}/shard-*/shard.json",)]
    if photos:
        layout += f"\nor {photos}/IDENTITY/IMAGE.jpg, the original photos"
        places.insert(1, (f"{photos}/*/*.jpg",))
    use = f"lrface prepare DATA/{folder} --out DATA/{store}"
    return DataSet(name, title, "training", RESEARCH, ZOO, layout, tuple(places), use)


def _pack(name: str, title: str, purpose: str, pairs: int, page: str) -> DataSet:
    return DataSet(
        name, f"{title}: {pairs:,} pairs", f"verification {purpose}", RESEARCH,
        f"{ZOO} (the .bin files lie in the archives of the training sets; MS1M-ArcFace's has all of them); "
        f"the photos: {page}",
        f"{name}.bin, in the data root or in a folder of it such as faces_emore/",
        ((f"{name}.bin",), (f"*/{name}.bin",)), f"lrface eval lfw --bin DATA/{name}.bin",
    )  # fmt: skip


def _benchmark(only: str) -> str:
    return f"lrface benchmark --data DATA --only {only}; to rehearse without it: lrface data rehearse PHOTOS --out DIR"


CATALOG: tuple[DataSet, ...] = (
    DataSet(
        "lfw", "Labeled Faces in the Wild: 13,233 photos of 5,749 people, 6,000 pairs", "verification, to report on",
        "research; photos of their owners", "http://vis-www.cs.umass.edu/lfw/",
        "lfw/images/NAME/NAME_0001.jpg\nlfw/pairs.txt (View 2), lfw/pairsDevTrain.txt, lfw/pairsDevTest.txt (View 1)\n"
        "or lfw.bin, aligned crops as insightface packs them",
        (("lfw/pairs.txt", "lfw/images/*/*_0001.*"), ("lfw.bin",), ("*/lfw.bin",)),
        "lrface data get lfw; then lrface eval lfw --images DATA/lfw/images --pairs DATA/lfw/pairs.txt",
    ),
    _records(
        "casia-webface", "CASIA-WebFace: 490,623 aligned crops of 10,572 people",
        "faces_webface_112x112", "casia_webface", "CASIA-WebFace",
    ),
    _records("ms1mv3", "MS1MV3 (MS1M-RetinaFace): 5.2 million crops of 93,431 people", "ms1m-retinaface-t1", "ms1mv3"),
    _records("glint360k", "Glint360K: 17 million crops of 360,232 people", "glint360k", "glint360k_store"),
    _pack("cfp_fp", "CFP-FP", "of a frontal against a profile view", 7000, "http://www.cfpw.io"),
    _pack("agedb_30", "AgeDB-30", "across 30 years", 6000, "https://ibug.doc.ic.ac.uk/resources/agedb/"),
    _pack("calfw", "Cross-Age LFW", "across age", 6000, "http://www.whdeng.cn/CALFW/"),
    _pack("cplfw", "Cross-Pose LFW", "across pose", 6000, "http://www.whdeng.cn/CPLFW/"),
    DataSet(
        "xqlfw", "Cross-Quality LFW: 7,263 images of 3,743 people, 6,000 pairs", "verification across image quality",
        "free download; derived from LFW", "https://martlgap.github.io/xqlfw/pages/download.html",
        "xqlfw/images/NAME/NAME_0001.jpg (xqlfw_aligned_112.zip, unpacked under this name)\nxqlfw/xqlfw_pairs.txt",
        (("xqlfw/xqlfw_pairs.txt", "xqlfw/images/*/*_0001.*"),),
        "lrface eval lfw --images DATA/xqlfw/images --pairs DATA/xqlfw/xqlfw_pairs.txt --detector none",
    ),
    DataSet(
        "uccs", "UnConstrained College Students: faces at 100 to 150 m", "open-set identification in surveillance",
        "licence agreement, research only", "https://www.ifi.uzh.ch/en/aiml/challenge.html (earlier: https://vast.uccs.edu/Opensetface/)",
        "uccs/gallery.csv, uccs/gallery_images/0001/0001_0.png, uccs/validation.csv, uccs/validation_images/*.jpg,\n"
        "uccs/exclude_gallery_validation.txt, as the challenge gives them out\n"
        "or uccs/split.csv: path,subject_id,split (train or test), paths relative to it; `lrface data split` writes one",
        (("uccs/gallery.csv", "uccs/validation.csv", "uccs/gallery_images", "uccs/validation_images"), ("uccs/split.csv",)),
        _benchmark("uccs"),
    ),
    DataSet(
        "tinyface", "TinyFace: 169,403 native low-resolution faces, 5,139 people", "identification at low resolution",
        RESEARCH, "https://qmul-tinyface.github.io/",
        "tinyface/Training_Set/IDENTITY/IMAGE.jpg\n"
        "tinyface/Testing_Set/{Probe,Gallery_Match,Gallery_Distractor}/IMAGE.jpg\n"
        "tinyface/Testing_Set/{probe,gallery_match}_img_ID_pairs.mat",
        (
            ("tinyface/Training_Set", "tinyface/Testing_Set/Probe", "tinyface/Testing_Set/Gallery_Match",
             "tinyface/Testing_Set/Gallery_Distractor", "tinyface/Testing_Set/probe_img_ID_pairs.mat",
             "tinyface/Testing_Set/gallery_match_img_ID_pairs.mat"),
        ),
        _benchmark("tinyface"),
    ),
    DataSet(
        "qmul-survface", "QMUL-SurvFace: 463,507 surveillance faces of 15,573 people",
        "open-set identification, verification", RESEARCH, "https://qmul-survface.github.io/",
        "QMUL-SurvFace/Face_Identification_Test_Set/{gallery,mated_probe,unmated_probe}/IMAGE.jpg\n"
        "QMUL-SurvFace/Face_Identification_Test_Set/{gallery,mated_probe}_img_ID_pairs.mat\n"
        "QMUL-SurvFace/Face_Verification_Test_Set/verification_images, {positive,negative}_pairs_names.mat\n"
        "QMUL-SurvFace/training_set/IDENTITY/IMAGE.jpg",
        (
            (*(f"QMUL-SurvFace/Face_Identification_Test_Set/{name}" for name in (
                "gallery", "mated_probe", "unmated_probe", "gallery_img_ID_pairs.mat", "mated_probe_img_ID_pairs.mat")),
             "QMUL-SurvFace/Face_Verification_Test_Set/verification_images"),
        ),
        _benchmark("survface"),
    ),
    DataSet(
        "scface", "SCface: 130 people, 5 surveillance cameras, 3 distances", "identification across distance",
        "signed release agreement, research only", "https://www.scface.org/",
        "SCface/mugshot_frontal_cropped_all/001_frontal.jpg\n"
        "SCface/surveillance_cameras_distance_1/cam_1/001_cam1_1.jpg, and so on: 3 distances, 5 cameras",
        (("SCface/mugshot_frontal_cropped_all", *(f"SCface/surveillance_cameras_distance_{n}" for n in (1, 2, 3))),),
        _benchmark("scface"),
    ),
    DataSet(
        "cifar100", "CIFAR-100: 60,000 objects of 32 px, 100 classes", "objects: distillation methods compared",
        "free download; pictures of their owners", "https://www.cs.toronto.edu/~kriz/cifar.html",
        "cifar100/cifar-100-python.tar.gz, or its folder cifar100/cifar-100-python\n"
        "or cifar100/train/CLASS/*.png and cifar100/test/CLASS/*.png",
        (("cifar100/cifar-100-python*",), ("cifar100/train/*", "cifar100/test/*")),
        "lrface data get cifar100; then lrface train recipes/objects/cifar100.yaml",
    ),
    DataSet(
        "svhn", "SVHN, cropped digits: 99,289 of 32 px", "objects at 8 px", "non-commercial use only",
        "http://ufldl.stanford.edu/housenumbers/", "svhn/train_32x32.mat, svhn/test_32x32.mat",
        (("svhn/train_32x32.mat", "svhn/test_32x32.mat"),),
        "lrface data get svhn; then lrface train recipes/objects/svhn_8px.yaml",
    ),
    DataSet(
        "stl10", "STL10: 13,000 labelled objects of 96 px, 10 classes", "objects: transfer", RESEARCH,
        "https://cs.stanford.edu/~acoates/stl10/", "stl10/stl10_binary/train_X.bin, train_y.bin, test_X.bin, test_y.bin",
        (tuple(f"stl10/stl10_binary/{split}_{part}.bin" for split in ("train", "test") for part in ("X", "y")),),
        "lrface data get stl10; then lrface probe MODEL --set stl10",
    ),
    DataSet(
        "tinyimagenet", "TinyImageNet: 110,000 labelled objects of 64 px, 200 classes", "objects: transfer", RESEARCH,
        "http://cs231n.stanford.edu/tiny-imagenet-200.zip",
        "tinyimagenet/tiny-imagenet-200/train/WNID/images/*.JPEG\n"
        "tinyimagenet/tiny-imagenet-200/val/images/*.JPEG, val/val_annotations.txt",
        (("tinyimagenet/tiny-imagenet-200/train/*", "tinyimagenet/tiny-imagenet-200/val/val_annotations.txt"),),
        "lrface probe MODEL --set tinyimagenet",
    ),
)  # fmt: skip


def dataset(name: str) -> DataSet:
    """Find the data set of this name; case, ``-`` and ``_`` make no difference.

    Raises:
        LrfaceError: there is none; the message names the nearest one.
    """
    known = {_plain(entry.name): entry for entry in CATALOG}
    if _plain(name) not in known:
        nearest = difflib.get_close_matches(_plain(name), known, n=1)
        hint = f"did you mean {known[nearest[0]].name!r}? " if nearest else ""
        raise LrfaceError(f"unknown data set {name!r}: {hint}(known: {', '.join(entry.name for entry in CATALOG)})")
    return known[_plain(name)]


def find(root: str | Path) -> list[Found]:
    """Look for each data set of the catalogue under a data root, one entry for each. No file is opened."""
    return [_find(entry, Path(require_path(root))) for entry in CATALOG]


def _find(entry: DataSet, root: Path) -> Found:
    places = []
    for patterns in entry.places:
        hits = {pattern: next(iter(root.glob(pattern)), None) for pattern in patterns}
        present = tuple(path for path in hits.values() if path is not None)
        places.append(Found(entry, present, tuple(pattern for pattern, path in hits.items() if path is None)))
    return min(places, key=lambda place: (bool(place.missing), -len(place.present)))


def _plain(name: str) -> str:
    return name.lower().replace("_", "-")
