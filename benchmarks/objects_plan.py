"""Cost of the published object tables: multiply-adds of each pair, and the hours that follow from a sustained rate.

python benchmarks/objects_plan.py --out benchmarks/results/objects/plan.json
"""

from collections.abc import Callable
from pathlib import Path

import click
import torch
from torch import nn

from lrface.files import write_json
from lrface.objects.networks import ObjectNetwork, create_network

PAIRS = (
    "wrn_40_2>wrn_16_2", "wrn_40_2>wrn_40_1", "resnet56>resnet20", "resnet110>resnet20", "resnet110>resnet32",
    "resnet32x4>resnet8x4", "vgg13>vgg8", "resnet18>vgg8", "vgg11>shufflenet_v1", "resnet18>shufflenet_v2",
    "wrn_50_2>shufflenet_v1", "wrn_50_2>vgg8",
)  # fmt: skip
SIDE, CLASSES, PICTURES, EPOCHS, BEFORE = 32, 100, 50_000, 240, 30
#: Methods that use each picture once per step; methods with a preliminary stage like it (AB, FT); orientations of SSKD.
PLAIN, STAGES, TURNS = 16, 2, 4


def multiply_adds(network: ObjectNetwork) -> int:
    """Multiply-adds of the convolutions and linear layers for one picture."""
    found = [0]

    def count(layer: nn.Module, _: object, output: torch.Tensor) -> None:
        weight: torch.Tensor = layer.weight  # type: ignore[assignment]
        found[0] += output[0].numel() * weight[0].numel()

    hooks = [
        each.register_forward_hook(count) for each in network.modules() if isinstance(each, (nn.Conv2d, nn.Linear))
    ]
    with torch.no_grad():
        network.eval()(torch.zeros(1, 3, SIDE, SIDE))
    for hook in hooks:
        hook.remove()
    return found[0]


def plan(count: Callable[[str], int]) -> dict[str, dict[str, int]]:
    """By pair: multiply-adds of both networks, and operations (two per multiply-add) of a column of seventeen methods.

    A training step costs three passes of the student (one forward, two for the backward pass) and one of the teacher.
    """
    rows = {}
    for pair in PAIRS:
        teacher, student = (count(name) for name in pair.split(">"))
        views = EPOCHS * (PLAIN + TURNS) + BEFORE * (STAGES + TURNS)
        operations = 2 * PICTURES * (views * (3 * student + teacher) + EPOCHS * 3 * teacher)
        rows[pair] = {"student": student, "teacher": teacher, "operations": operations}
    return rows


@click.command()
@click.option("--out", type=click.Path(path_type=Path), required=True, help="JSON file to write.")
def main(out: Path) -> None:
    """Count, write and print."""
    known = {name: multiply_adds(create_network(name, CLASSES)) for pair in PAIRS for name in pair.split(">")}
    rows = plan(known.__getitem__)
    total = sum(row["operations"] for row in rows.values())
    write_json(out, {"pairs": rows, "total": total, "epochs": EPOCHS, "pictures": PICTURES, "methods": PLAIN + 1})
    click.echo(
        "| pair | student, million multiply-adds | teacher | 10^15 operations, 17 methods | hours at 10 TFLOP/s |"
    )
    click.echo("|---|---:|---:|---:|---:|")
    for pair, row in (*rows.items(), ("all", {"operations": total})):
        sizes = " | ".join(f"{row[key] / 1e6:.1f}" if key in row else "" for key in ("student", "teacher"))
        click.echo(f"| {pair} | {sizes} | {row['operations'] / 1e15:,.0f} | {row['operations'] / 1e13 / 3600:,.1f} |")


if __name__ == "__main__":
    main()
