"""What Prometheus is told of a service."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest


class Metrics:
    """Counts of one service, with a registry of its own.

    Args:
        held: tells how many requests are worked on or wait.
        videos: tells how many videos are watched.
    """

    def __init__(self, held: Callable[[], int], videos: Callable[[], int]) -> None:
        self._registry = CollectorRegistry()
        labels = ("route", "status")
        self.requests = Counter("lrface_requests", "Requests answered.", labels, registry=self._registry)
        self.seconds = Histogram("lrface_request_seconds", "Time to an answer.", labels[:1], registry=self._registry)
        self.batch = Histogram(
            "lrface_batch_faces", "Faces embedded at once.", buckets=(1, 2, 4, 8, 16, 32, 64), registry=self._registry
        )
        Gauge("lrface_requests_held", "Requests worked on or waiting.", registry=self._registry).set_function(held)
        Gauge("lrface_videos_held", "Videos being watched.", registry=self._registry).set_function(videos)

    def text(self) -> bytes:
        """In Prometheus's text format."""
        return generate_latest(self._registry)
