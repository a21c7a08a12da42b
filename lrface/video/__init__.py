"""Watching a video or a camera: faces are tracked over time, and each track's faces are combined into one template."""

from lrface.video.events import Event, Person
from lrface.video.watch import watch

__all__ = ["Event", "Person", "watch"]
