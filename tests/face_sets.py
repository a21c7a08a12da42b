"""Small files for the readers' tests: images of one colour, and lists as MATLAB writes them, in both versions."""

from pathlib import Path

import numpy as np

from lrface.faces.images import encode_image


def put_images(folder: Path, names: list[str], side: int = 12) -> list[Path]:
    """Tiny images, each of its own colour."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        image = np.full((side, side, 3), (number * 37) % 256, np.uint8)
        (folder / name).write_bytes(encode_image(image, Path(name).suffix[1:].lower()))
    return [folder / name for name in names]


def text_cells(texts: list) -> np.ndarray:
    """``[n, 1]`` or ``[n, 2]`` object array, as ``scipy.io.savemat`` takes cells."""
    array = np.array(texts, dtype=object)
    return array[:, None] if array.ndim == 1 else array


def write_v5(path: Path, **variables) -> None:
    from scipy.io import savemat

    path.parent.mkdir(parents=True, exist_ok=True)
    savemat(path, variables)


def write_v73(path: Path, **variables) -> None:
    """MATLAB's version 7.3: HDF5 behind 512 bytes, arrays transposed, cells as references, text as uint16 codes."""
    import h5py

    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w", userblock_size=512) as file:
        for key, value in variables.items():
            if value.dtype == object:
                cells = file.create_dataset(key, value.T.shape, dtype=h5py.ref_dtype)
                cells.attrs["MATLAB_class"] = np.bytes_("cell")
                for at, text in np.ndenumerate(value.T):
                    codes = np.frombuffer(str(text).encode("utf-16-le"), "<u2").reshape(-1, 1)
                    node = file.create_dataset(f"#refs#/{key}{'_'.join(map(str, at))}", data=codes)
                    node.attrs["MATLAB_class"] = np.bytes_("char")
                    node.attrs["MATLAB_int_decode"] = np.int32(2)
                    cells[at] = node.ref
            else:
                node = file.create_dataset(key, data=value.T)
                node.attrs["MATLAB_class"] = np.bytes_(value.dtype.name)
    with open(path, "r+b") as out:
        out.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(512))


WRITERS = {"v5": write_v5, "v7.3": write_v73}
