"""From detected faces to tracks. ByteTrack follows the boxes, and embeddings reconnect tracks that were interrupted.

The library is `trackers <https://github.com/roboflow/trackers>`_ (Apache-2.0): ByteTrack with true timestamps, without torch.
Source: Zhang et al., "ByteTrack: Multi-Object Tracking by Associating Every Detection Box", 2022.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from lrface.errors import LrfaceError
from lrface.video.alike import Limits
from lrface.video.look import Look
from lrface.video.track import MOST_GROWN, Track, grown

#: Seconds without a face after which ByteTrack drops a box, because its position can no longer be predicted.
BOX_SECONDS = 1.0

#: Detector scores: for confident detections, and for starting a track. Faces with lower scores only continue existing tracks.
SURE, BEGIN = 0.5, 0.5

#: Smallest overlap of a box with its expected position, and the relative enlargement of both boxes for it. Small faces can move
#: by their own width between two frames.
OVERLAP, BUFFER = 0.1, 0.5

#: A new track is compared with lost ones once it has this many faces, or at its end.
JOIN_LOOKS = 3

#: How far a person may move while unseen, in widths of the face: a constant part, and a part per second.
REACH, REACH_A_SECOND = 2.0, 6.0


class Tracker:
    """Tracks people.

    Args:
        rate: approximate number of processed frames per second.
        patience: seconds for which a person may be unseen and still continue the same track.
        limits: see :mod:`lrface.video.alike`; None: interrupted tracks are not reconnected.

    Attributes:
        joined: number of a track that was joined to an earlier one -> number of that one.

    Raises:
        LrfaceError: the library is not installed.
    """

    def __init__(self, rate: float, patience: float, limits: Limits | None) -> None:
        self._boxes = _byte_track(rate, min(BOX_SECONDS, patience))
        self._patience, self._limits = patience, limits
        self.joined: dict[int, int] = {}
        self._numbers = 0
        self._of_box: dict[int, Track] = {}
        self._compared: set[int] = set()  # numbers of the tracks that have been compared with the lost ones
        self._waiting: list[tuple[float, Look]] = []

    @property
    def tracks(self) -> list[Track]:
        """The active tracks, each once, oldest first."""
        return sorted({track.number: track for track in self._of_box.values()}.values(), key=lambda each: each.number)

    def expected(self, time: float) -> np.ndarray:
        """Where faces are expected in the next frame: boxes float64 ``[n, 4]``.

        They are those of the active tracks that were seen within ``BOX_SECONDS``, and of the faces that began no track yet.
        """
        boxes = [track.expected(time) for track in self.tracks if time - track.end <= BOX_SECONDS]
        boxes += [grown(look.box, MOST_GROWN) for _, look in self._waiting]
        return np.array(boxes).reshape(-1, 4)

    def update(self, time: float, looks: Sequence[Look]) -> list[Track]:
        """Process a frame's faces.

        Args:
            time: of the frame, later than all before.
            looks: all faces of the frame.

        Returns:
            The tracks that ended, because their person was not seen for longer than the patience.
        """
        waiting = []
        for look, box in zip(looks, self._assign(time, looks), strict=True):
            if box < 0:
                waiting.append((time, look))
            elif (track := self._of_box.get(box)) is not None:
                track.add(time, look)
                self._join(track)
            else:
                self._begin(box, time, look)
        for _, look in self._waiting:
            look.crop = None
        self._waiting = waiting
        return self._take_ended(time)

    def finish(self) -> list[Track]:
        """End all active tracks, because the source has ended; returns them."""
        ended = self._settled(self.tracks)
        self._of_box.clear()
        return ended

    def _assign(self, time: float, looks: Sequence[Look]) -> list[int]:
        """ByteTrack's number of each face's box; -1 for none yet."""
        import supervision

        boxes = np.array([look.box for look in looks]).reshape(-1, 4)
        detections = supervision.Detections(
            xyxy=boxes,
            confidence=np.array([look.score for look in looks]),
            class_id=np.zeros(len(looks), int),
            data={"row": np.arange(len(looks))},
        )
        followed = self._boxes.update(detections, timestamp=time)
        numbers = [-1] * len(looks)
        if len(followed):
            for row, number in zip(followed.data["row"], followed.tracker_id, strict=True):
                numbers[int(row)] = int(number)
        return numbers

    def _begin(self, box: int, time: float, look: Look) -> None:
        """Begin a track. ByteTrack gives no number to the first face, so it is taken from the previous frame."""
        near = [
            (float(np.linalg.norm(before.centre - look.centre)), row)
            for row, (_, before) in enumerate(self._waiting)
            if np.linalg.norm(before.centre - look.centre) < REACH * max(before.width, look.width)
        ]
        self._numbers += 1
        if near:
            track = Track.begin(self._numbers, *self._waiting.pop(min(near)[1]))
            track.add(time, look)
        else:
            track = Track.begin(self._numbers, time, look)
        self._of_box[box] = track
        self._join(track)

    def _join(self, track: Track) -> None:
        """Join a young track to a lost one of the same person, if there is one."""
        if track.number in self._compared or track.template.count < JOIN_LOOKS:
            return
        self._compared.add(track.number)
        self._compare(track)

    def _compare(self, track: Track) -> Track:
        """Compare a track with the lost ones. Returns the one that absorbed it, or the track itself."""
        found = []
        for lost in self.tracks:
            gap = track.start - lost.end
            if lost.number == track.number or not 0 < gap <= self._patience:
                continue
            reach = (REACH + REACH_A_SECOND * gap) * max(lost.last.width, track.last.width)
            first = track.strip.crops[0].box
            away = float(np.linalg.norm((first[:2] + first[2:]) / 2 - lost.last.centre))
            cosine = float(lost.template.embedding @ track.template.embedding)
            if away <= reach and self._alike(cosine, lost, track):
                found.append((cosine, lost.number, lost))
        if not found:
            return track
        lost = max(found)[2]
        lost.absorb(track)
        self.joined[track.number] = lost.number
        for box, each in self._of_box.items():
            if each is track:
                self._of_box[box] = lost
        return lost

    def _alike(self, cosine: float, a: Track, b: Track) -> bool:
        """Whether two tracks are of one person."""
        if self._limits is None:
            return False
        parts = (a.template.detail, b.template.detail, a.template.count, b.template.count)
        return cosine > float(self._limits(*(np.array(part) for part in parts)))

    def _take_ended(self, time: float) -> list[Track]:
        over = [track for track in self.tracks if time - track.end > self._patience]
        settled = self._settled(over)
        gone = {track.number for track in over}
        self._of_box = {box: track for box, track in self._of_box.items() if track.number not in gone}
        self._compared -= gone
        return settled

    def _settled(self, over: list[Track]) -> list[Track]:
        """Compare ended tracks that were too short before; those joined to another track are left out."""
        return [track for track in over if track.number in self._compared or self._compare(track) is track]


def _byte_track(rate: float, seconds: float) -> Any:
    try:
        from trackers import BIoU, ByteTrackTracker
    except ImportError as error:
        raise LrfaceError(f"following faces needs more packages ({error}): pip install 'lrface[video]'") from error
    return ByteTrackTracker(
        lost_track_buffer=round(30 * seconds),  # in thirtieths of a second, at any frame rate
        frame_rate=rate,
        track_activation_threshold=BEGIN,
        minimum_consecutive_frames=1,
        minimum_iou_threshold=OVERLAP,
        high_conf_det_threshold=SURE,
        iou=BIoU(BUFFER),
    )
