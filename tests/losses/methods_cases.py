"""Fixed inputs for all distillation methods, from closed formulas, so that any other code can be given the same."""

import torch
from torch import Tensor, nn

from lrface.losses.method import Method, Outputs, Setting, Shape
from lrface.losses.registry import create_method, method_class

ROWS, CLASSES, SAMPLES = 6, 5, 30
STUDENT, TEACHER = 7, 9  # lengths of the embeddings
STUDENT_MAPS = ((4, 8), (4, 8), (6, 4), (8, 2))  # channels and side of each stage
TEACHER_MAPS = ((4, 8), (4, 8), (10, 4), (12, 2))
LABELS = torch.arange(SAMPLES) % CLASSES
INDEX = torch.tensor([3, 11, 4, 22, 17, 29])
#: Candidates of CRD and CRCD: each sample itself, then seven of other classes.
CHOSEN = torch.stack([torch.cat([i[None], (i + torch.tensor([1, 2, 3, 4, 6, 7, 8])) % SAMPLES]) for i in INDEX])
SMALL = {"crd": {"dim": 8, "negatives": 7}, "crcd": {"dim": 8, "negatives": 7}, "wcord": {"dim": 8, "negatives": 7}}


def wave(*shape: int, seed: int = 0) -> Tensor:
    """float64 numbers between -2 and 2 without a pattern that any loss could like."""
    number = torch.arange(int(torch.tensor(shape).prod()), dtype=torch.float64)
    return (torch.sin(number * (1.37 + 0.113 * seed) + seed) + torch.cos(number * number * 0.071 + seed)).reshape(shape)


def fill(module: nn.Module, seed: int) -> None:
    """Give a module's parameters fixed numbers, in their order."""
    with torch.no_grad():
        for number, parameter in enumerate(module.parameters()):
            parameter.copy_(0.3 * wave(*parameter.shape, seed=seed + number))


def outputs(seed: int, dim: int, sizes: tuple[tuple[int, int], ...], rows: int = ROWS, times: int = 1) -> Outputs:
    """float64 outputs of a network, leaves that can carry gradients; ``times`` for methods with turned images."""
    count = rows * times

    def maps(first: int) -> tuple[Tensor, ...]:
        return tuple(
            wave(rows, channels, side, side, seed=first + number).requires_grad_()
            for number, (channels, side) in enumerate(sizes)
        )

    return Outputs(
        logits=(2 * wave(count, CLASSES, seed=seed)).requires_grad_(),
        embedding=wave(count, dim, seed=seed + 1).requires_grad_(),
        maps=maps(seed + 2),
        preacts=maps(seed + 12),
        classifier=wave(CLASSES, dim, seed=seed + 25),
    )


def pair(name: str, rows: int = ROWS) -> tuple[Outputs, Outputs]:
    """Student's and teacher's outputs for a method."""
    times = 4 if method_class(name).rotated else 1
    return outputs(1, STUDENT, STUDENT_MAPS, rows, times), outputs(50, TEACHER, TEACHER_MAPS, rows, times)


def setting(name: str) -> Setting:
    """What the method is built for."""
    student, teacher = pair(name)
    return Setting(Shape.of(student), Shape.of(teacher), LABELS)


def build(name: str, **options: object) -> Method:
    """The method in float64, all parameters and banks filled by formula."""
    torch.manual_seed(0)
    made = create_method(name, setting(name), SMALL.get(name, {}) | options).double()
    for number, (_, child) in enumerate(made.named_children()):
        fill(child, 10 * (number + 1))
    banks = [buffer for key, buffer in made.named_buffers() if key.endswith(("student", "teacher"))]
    for number, bank in enumerate(banks):
        bank.copy_(nn.functional.normalize(wave(*bank.shape, seed=71 + number)))
    return made
