"""The function that computes each kind of row, and the code that determines its numbers."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from lrface.suite import end_to_end, native_rows, pair_rows, tsne_rows
from lrface.suite.context import EMBEDDING_CODE, Context
from lrface.suite.task import Task

Result = tuple[dict[str, Any], dict[str, np.ndarray]]


@dataclass(frozen=True)
class Protocol:
    """How rows of one kind are computed.

    Attributes:
        run: computes the metrics of a row, and the arrays for its figures.
        code: modules that determine the numbers; if one changes, its rows are computed again.
    """

    run: Callable[[Context, Task], Result]
    code: tuple[str, ...]


_SEARCH_CODE = ("lrface.eval.blocks", "lrface.eval.mates", *native_rows.LIST_CODE)

PROTOCOLS: dict[str, Protocol] = {
    "verification": Protocol(
        pair_rows.verification,
        ("lrface.suite.pair_rows", "lrface.eval.verification", "lrface.eval.thresholds", "lrface.eval.similarity",
         "lrface.data.sets.pair_set", "lrface.data.sets.pairs", "lrface.data.sets.bins", *EMBEDDING_CODE),
    ),
    "end-to-end": Protocol(end_to_end.end_to_end, end_to_end.CODE),
    "cost": Protocol(pair_rows.cost, ("lrface.suite.peers", *EMBEDDING_CODE)),
    "tsne": Protocol(tsne_rows.tsne, ("lrface.suite.tsne_rows", *EMBEDDING_CODE)),
    "identification": Protocol(
        native_rows.identification,
        ("lrface.eval.identification", "lrface.finetune.softmax_layer", "lrface.finetune.uccs_protocol", "lrface.data.sets.uccs",
         "lrface.data.sets.subject_split", *native_rows.LIST_CODE),
    ),
    "retrieval": Protocol(
        native_rows.retrieval, ("lrface.eval.retrieval", "lrface.data.sets.tinyface", *_SEARCH_CODE)
    ),
    "open-set": Protocol(
        native_rows.open_set,
        ("lrface.eval.open_set", "lrface.eval.verification", "lrface.data.sets.survface", *_SEARCH_CODE),
    ),
    "distance": Protocol(native_rows.distance, ("lrface.eval.retrieval", "lrface.data.sets.scface", *_SEARCH_CODE)),
}  # fmt: skip
