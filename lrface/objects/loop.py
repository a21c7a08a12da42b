"""The training loop of faces, validated by the accuracy on held-out pictures."""

from typing import Any

from lrface.objects.evaluate import accuracy
from lrface.train.loop import Loop


class ObjectLoop(Loop):
    """See :class:`lrface.train.loop.Loop`. ``pairs`` are the held-out pictures, ``preprocessing`` is the student's view."""

    def _validate(self, pairs: Any) -> dict[str, float]:
        network: Any = self.student()
        return {"accuracy": accuracy(network, pairs, self.preprocessing, self.fabric.device)}  # type: ignore[arg-type]
