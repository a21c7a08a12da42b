"""Finding the faces of frames. The whole frame is searched every so often, and otherwise only the places of known people."""

from collections.abc import Sequence

import numpy as np

from lrface.recognition.answers import FoundFace
from lrface.recognition.encoder import FaceEncoder
from lrface.video.frames import Frame
from lrface.video.look import Look

#: A search is due already if it would be due within so many seconds, as times of frames are rounded.
_ROUNDED = 0.002


class Eye:
    """Finds and embeds the faces of frames.

    Args:
        encoder: the model and its detector.
        seconds: time between two searches of the whole frame; 0: every frame is searched whole.
        crops: keep pictures of faces.

    Attributes:
        searched: time of the last frame that was searched whole.
    """

    def __init__(self, encoder: FaceEncoder, seconds: float, crops: bool) -> None:
        self._encoder, self._seconds, self._crops = encoder, seconds, crops
        self.searched = -np.inf

    def look(self, frame: Frame, expected: np.ndarray) -> list[Look]:
        """The faces of a frame, and :attr:`searched`.

        Args:
            frame: the frame.
            expected: where the faces of known people should be: boxes float ``[n, 4]``.
        """
        if frame.time >= self.searched + self._seconds - _ROUNDED or not self._encoder.looks_near:
            return self.look_at_all([frame])[0]
        return self._kept(self._encoder.faces_of_frames([frame.image], expected)[0]) if len(expected) else []

    def look_at_all(self, frames: Sequence[Frame]) -> list[list[Look]]:
        """The faces of each frame; all frames are searched whole, as one batch."""
        found = self._encoder.faces_of_frames([frame.image for frame in frames])
        self.searched = frames[-1].time
        return [self._kept(faces) for faces in found]

    def _kept(self, faces: Sequence[FoundFace]) -> list[Look]:
        return [Look.of(face, self._crops) for face in faces if face.score is not None]
