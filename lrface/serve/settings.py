"""How a service is set up, and what is refused because it would not be safe."""

import hmac
import ipaddress
import os
from dataclasses import dataclass
from pathlib import Path

from lrface.errors import LrfaceError
from lrface.files import because

#: Environment variable of the token.
TOKEN = "LRFACE_TOKEN"

#: A shorter token can be guessed.
SHORTEST_TOKEN = 16


@dataclass(frozen=True)
class Settings:
    """What the service may do.

    Attributes:
        host: address to bind to.
        token: what a request has to show; None where only this machine can ask.
        workers: how many requests are worked on at once.
        waiting: how many more may wait; the next one is told to come back.
        seconds: the most that a request waits for its answer, and an upload for its last byte.
        max_bytes: of a request's body; of a video ``video_bytes``.
        videos: how many are watched at once; the next one is told to come back. 0: none is.
        video_seconds: the most that watching one takes, and sending it.
        video_bytes: of a video.
        crops: folder of the crops that are kept; None: none are.
    """

    host: str = "127.0.0.1"
    token: str | None = None
    workers: int = 2
    waiting: int = 32
    seconds: float = 30.0
    max_bytes: int = 32 << 20
    crops: Path | None = None
    videos: int = 1
    video_seconds: float = 300.0
    video_bytes: int = 256 << 20

    def __post_init__(self) -> None:
        if self.token is not None and len(self.token) < SHORTEST_TOKEN:
            raise LrfaceError(f"the token is too short to be safe: give {SHORTEST_TOKEN} characters or more")
        if self.token is None and not is_loopback(self.host):
            raise LrfaceError(
                f"--host {self.host} can be reached from other machines: set {TOKEN}, or give --token-file FILE"
            )

    @property
    def held_bytes(self) -> int:
        """The most that the bodies of all requests take together while they are worked on."""
        return 16 * self.max_bytes + 2 * self.videos * self.video_bytes

    @property
    def open_requests(self) -> int:
        """The most that are sent, worked on or answered at once."""
        return 8 * (self.workers + self.waiting + self.videos)

    def admits(self, shown: str | None) -> bool:
        """Whether a request may pass that shows this token. Takes the same time whatever is wrong with it."""
        if self.token is None:
            return True
        return hmac.compare_digest((shown or "").encode("utf-8", "replace"), self.token.encode())


def is_loopback(host: str) -> bool:
    """Whether an address can be reached from this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def read_token(path: str | Path | None) -> str | None:
    """The token of a file, else of the environment; None if there is neither.

    Raises:
        LrfaceError: the file cannot be read, or is empty.
    """
    if path is None:
        return os.environ.get(TOKEN) or None
    try:
        token = Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = because(error, path) if isinstance(error, OSError) else "it is not text"
        raise LrfaceError(f"cannot read the token file {path}: {reason}") from error
    if not token:
        raise LrfaceError(f"the token file {path} is empty")
    return token
