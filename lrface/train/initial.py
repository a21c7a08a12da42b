"""Initial weights of a training: those of another student with the same architecture, except for the stride of its stem."""

from pathlib import Path

from torch import Tensor, nn

from lrface.errors import LrfaceError
from lrface.models import shipped
from lrface.models.weights import load_model
from lrface.train.checkpoint import restore

STEM = "conv1.weight"


def begin_with(student: nn.Module, initial: str, root: Path) -> None:
    """Copy the weights of another model into a student.

    The student's stem may have a larger stride. The stem's kernel is then enlarged: each weight is spread over the pixels
    that the other model sees as one. For any input the student then gives the output of the other model on that input
    reduced by averaging.

    Args:
        student: changed in place.
        initial: name of a shipped model, or a file relative to ``root``.
        root: the data root.

    Raises:
        LrfaceError: there is no such model, or it has another architecture.
    """
    path = shipped.find(initial) or root / initial
    model, _ = load_model(path)
    state = model.state_dict()
    wanted = student.state_dict()
    if STEM in state and STEM in wanted:
        state[STEM] = spread(state[STEM], int(wanted[STEM].shape[-1]), path)
    restore(student, state, path)


def spread(kernel: Tensor, side: int, where: Path) -> Tensor:
    """Enlarge a kernel ``[out, in, k, k]`` for images that are larger by ``side / k``: ``[out, in, side, side]``.

    Raises:
        LrfaceError: ``side`` is not a multiple of k.
    """
    factor, rest = divmod(side, kernel.shape[-1])
    if rest or factor < 1:
        raise LrfaceError(
            f"{where}: its stem has a kernel of {kernel.shape[-1]} pixels, which cannot become one of {side}: "
            "model.kw.stride must be a multiple of its own"
        )
    return kernel.repeat_interleave(factor, -1).repeat_interleave(factor, -2) / factor**2
