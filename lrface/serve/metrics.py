"""Metrics of the service for Prometheus."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest


class Metrics:
    """The metrics of one service, in a registry of its own.

    Args:
        held: returns the number of requests that are worked on or wait.
    """

    def __init__(self, held: Callable[[], int]) -> None:
        self._registry = CollectorRegistry()
        labels = ("route", "status")
        self.requests = Counter("lrface_requests", "Requests answered.", labels, registry=self._registry)
        self.seconds = Histogram("lrface_request_seconds", "Time to an answer.", labels[:1], registry=self._registry)
        self.batch = Histogram(
            "lrface_batch_faces", "Faces embedded at once.", buckets=(1, 2, 4, 8, 16, 32, 64), registry=self._registry
        )
        Gauge("lrface_requests_held", "Requests worked on or waiting.", registry=self._registry).set_function(held)

    def text(self) -> bytes:
        """The metrics in Prometheus's text format."""
        return generate_latest(self._registry)
