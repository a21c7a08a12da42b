"""Who walks by: faces of a video or a camera, followed over time, each person's many poor looks made one template."""

from lrface.video.events import Event, Person
from lrface.video.watch import watch

__all__ = ["Event", "Person", "watch"]
