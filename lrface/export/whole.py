"""A graph with preprocessing and the sum over the mirror image inside, for programs without lrface.

Its input is crops of any size as read from a file. Its output is embeddings of length 1, the same as those of
:meth:`lrface.recognition.encoder.FaceEncoder.embed_crops`.

The reduction is the same as Pillow's antialiased bilinear one. It consists of two matrix products, and the graph
computes the matrices from the image's size. As in Pillow, the weights are rounded to 22 bits, and the result of each
pass is rounded to whole grey levels. For crops that are not higher than wide, the pixels are exactly those of
:mod:`lrface.faces.degrade`. Newer versions of Pillow reduce higher crops in the other order; their pixels differ by at
most one grey level. ONNX's own ``Resize`` with ``antialias=1`` is not used because it handles the image border in
another way: border pixels of real faces and of noise differed by up to 19 levels.
"""

from typing import TYPE_CHECKING, Any

from lrface.errors import LrfaceError
from lrface.export.graph import BATCH, INPUT, OUTPUT
from lrface.models.preprocessing import Preprocessing

if TYPE_CHECKING:
    import onnx

IMAGES = "images"

#: Weights ``[side, length]`` of the reduction along one axis: a triangle as wide as a target pixel, see Pillow's
#: ``precompute_coeffs``. Type 11 is float64, in which sums of 8-bit pixels with 22-bit weights are exact.
_AXIS = """
  {a}_shape = Shape <start = {dim}, end = {end}> (planes)
  {a}_count = Squeeze ({a}_shape)
  {a}_length = Cast <to = 11> ({a}_count)
  {a}_scale = Div ({a}_length, side)
  {a}_support = Max ({a}_scale, one)
  {a}_numbers = Range (first, {a}_count, next)
  {a}_pixels = Cast <to = 11> ({a}_numbers)
  {a}_centres = Mul (targets, {a}_scale)
  {a}_from_centre = Sub ({a}_pixels, {a}_centres)
  {a}_offsets = Add ({a}_from_centre, half)
  {a}_sharpness = Div (one, {a}_support)
  {a}_parts = Mul ({a}_offsets, {a}_sharpness)
  {a}_distances = Abs ({a}_parts)
  {a}_slopes = Sub (one, {a}_distances)
  {a}_raw = Max ({a}_slopes, nought)
  {a}_sums = ReduceSum <keepdims = 1> ({a}_raw, last_axis)
  {a}_share = Div (one, {a}_sums)
  {a}_weights = Mul ({a}_raw, {a}_share)
  {a}_scaled = Mul ({a}_weights, steps)
  {a}_up = Add ({a}_scaled, half)
  {a}_whole = Floor ({a}_up)
  {a}_matrix = Div ({a}_whole, steps)
"""

_BEFORE = """
prepare (uint8[n, height, width, 3] images) => (float[m, 3, {size}, {size}] faces)
<double side = {{{size}}}, double one = {{1}}, double half = {{0.5}}, double nought = {{0}}, double steps = {{4194304}},
 int64 first = {{0}}, int64 next = {{1}}, int64[1] last_axis = {{-1}}, int64[1] width_axis = {{3}}, int64[1] from = {{-1}},
 int64[1] to = {{-9223372036854775807}}>
{{
  planes = Transpose <perm = [0, 3, 1, 2]> (images)
  {x}
  {y}
  pixels = Cast <to = 11> (planes)
  x_transposed = Transpose <perm = [1, 0]> (x_matrix)
  narrow_sums = MatMul (pixels, x_transposed)
  narrow_up = Add (narrow_sums, half)
  narrow = Floor (narrow_up)
  small_sums = MatMul (y_matrix, narrow)
  small_up = Add (small_sums, half)
  small = Floor (small_up)
  levels = Cast <to = 1> (small)
  centred = Sub (levels, mean)
  upright = Mul (centred, scale)
  mirrored = Slice (upright, from, to, width_axis, from)
  faces = Concat <axis = 0> (upright, mirrored)
}}
"""

_AFTER = """
finish (float[m, d] both) => (float[n, d] embedding)
<int64[3] halves = {{2, -1, {dim}}}, int64[1] first_axis = {{0}}, int64[1] last_axis = {{1}}, float least = {{1e-12}}>
{{
  split = Reshape (both, halves)
  total = ReduceSum <keepdims = 0> (split, first_axis)
  length = ReduceL2 <keepdims = 1> (total, last_axis)
  safe = Max (length, least)
  embedding = Div (total, safe)
}}
"""


def make_whole(proto: "onnx.ModelProto", preprocessing: Preprocessing, dim: int) -> "onnx.ModelProto":
    """Add preprocessing and the sum over the mirror image to a graph.

    The new graph takes ``images`` uint8 RGB ``[n, height, width, 3]`` and returns ``embedding [n, dim]`` of length 1.

    Args:
        proto: from :func:`lrface.export.graph.trace`, quantised or not.
        preprocessing: of the network.
        dim: length of the embedding.

    Raises:
        LrfaceError: this preprocessing cannot be written as a graph.
    """
    from onnx import checker, helper

    reduction = preprocessing.degradation
    if (reduction and reduction.name != f"{reduction.size}px-bilinear-antialias") or (
        (preprocessing.colour, preprocessing.layout, preprocessing.crop) != ("RGB", "NCHW", "arcface")
    ):
        raise LrfaceError(
            "only RGB in planes, reduced bilinearly with antialiasing, can go inside the graph: export without --whole"
        )
    before, core, after = _before(preprocessing), proto.graph, _parse(_AFTER.format(dim=dim))
    _prefix(before, "before/", {IMAGES, INPUT})
    _prefix(core, "", {INPUT}, {OUTPUT: "both"})
    _prefix(after, "after/", {"both", OUTPUT})
    graph = helper.make_graph(
        [*before.node, *core.node, *after.node],
        "whole",
        [before.input[0]],
        [helper.make_tensor_value_info(OUTPUT, core.output[0].type.tensor_type.elem_type, [BATCH, dim])],
        [*before.initializer, *core.initializer, *after.initializer],
    )
    whole = helper.make_model(graph, opset_imports=list(proto.opset_import), ir_version=proto.ir_version)
    checker.check_model(whole)
    return whole


def _before(preprocessing: Preprocessing) -> Any:
    import numpy as np
    from onnx import numpy_helper

    size = preprocessing.input_size
    x, y = (_AXIS.format(a=a, dim=dim, end=dim + 1) for a, dim in (("x", 3), ("y", 2)))
    graph = _parse(_BEFORE.format(size=size, x=x, y=y))
    constants = {
        "mean": np.float32(preprocessing.mean),  # as arrays, because the text form rounds numbers
        "scale": np.float32(preprocessing.scale),
        "targets": np.arange(size, dtype=np.float64)[:, None] + 0.5,
    }
    graph.initializer.extend(numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items())
    return graph


def _parse(text: str) -> Any:
    from onnx import parser

    return parser.parse_graph(text)


def _prefix(graph: Any, prefix: str, kept: set[str], renamed: dict[str, str] | None = None) -> None:
    """Rename the values of a graph, so that three graphs can be joined."""
    renamed = renamed or {}

    def new(name: str) -> str:
        return renamed.get(name, name if not name or name in kept else prefix + name)

    for node in graph.node:
        node.input[:] = [new(name) for name in node.input]
        node.output[:] = [new(name) for name in node.output]
    for weights in graph.initializer:
        weights.name = new(weights.name)
