"""Preprocessing and the sum over the mirror image inside the graph, for programs without lrface.

Crops of any size go in as they come from a file, and unit embeddings come out, those of
:meth:`lrface.recognition.encoder.FaceEncoder.embed_crops`.

The reduction is Pillow's antialiased bilinear one, as two matrix products whose matrices the graph computes from the
image's size: like Pillow's they are rounded to 22 bits, and both passes to whole grey levels. Of crops that are not
higher than wide the pixels are exactly those of :mod:`lrface.faces.degrade`; of higher ones, which newer Pillows reduce
in the other order, within one grey level. ONNX's own ``Resize`` with ``antialias=1`` would not do: it weighs what lies
beyond the border otherwise, which moved border pixels of real faces and of noise by up to 19 levels.
"""

from typing import TYPE_CHECKING, Any

from lrface.errors import LrfaceError
from lrface.export.graph import BATCH, INPUT, OUTPUT
from lrface.models.preprocessing import Preprocessing

if TYPE_CHECKING:
    import onnx

IMAGES = "images"

#: Weights ``[side, length]`` of the reduction along one axis: a triangle as wide as a target pixel, see Pillow's
#: ``precompute_coeffs``. 11 is float64, in which the sums of 8-bit pixels and 22-bit weights are exact.
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
    """The same network for ``images`` uint8 RGB ``[n, height, width, 3]``, giving unit ``embedding [n, dim]``.

    Args:
        proto: from :func:`lrface.export.graph.trace`, quantised or not.
        preprocessing: what the network wants.
        dim: length of the embedding.

    Raises:
        LrfaceError: the preprocessing cannot be written as a graph.
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
        "mean": np.float32(preprocessing.mean),  # as numbers, for the text form rounds
        "scale": np.float32(preprocessing.scale),
        "targets": np.arange(size, dtype=np.float64)[:, None] + 0.5,
    }
    graph.initializer.extend(numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items())
    return graph


def _parse(text: str) -> Any:
    from onnx import parser

    return parser.parse_graph(text)


def _prefix(graph: Any, prefix: str, kept: set[str], renamed: dict[str, str] | None = None) -> None:
    """Rename the graph's values, so that three graphs can be one."""
    renamed = renamed or {}

    def new(name: str) -> str:
        return renamed.get(name, name if not name or name in kept else prefix + name)

    for node in graph.node:
        node.input[:] = [new(name) for name in node.input]
        node.output[:] = [new(name) for name in node.output]
    for weights in graph.initializer:
        weights.name = new(weights.name)
