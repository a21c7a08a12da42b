"""Settings of a service. Unsafe settings are refused."""

import hmac
import ipaddress
import os
from dataclasses import dataclass
from pathlib import Path

from lrface.errors import LrfaceError

#: Environment variable that holds the token.
TOKEN = "LRFACE_TOKEN"

#: Minimum length of a token. A shorter one can be guessed.
SHORTEST_TOKEN = 16


@dataclass(frozen=True)
class Settings:
    """The settings of a service.

    Attributes:
        host: address to listen on.
        token: the token that a request must have; None: only this machine can ask.
        workers: maximum number of requests that are worked on at once.
        waiting: maximum number of requests that wait. Any further request is refused with status 503.
        seconds: maximum time that a request waits for its answer, and maximum time of an upload.
        max_bytes: maximum size of a request's body.
        videos: maximum number of videos that are watched at once; 0: no videos are watched.
        video_seconds: maximum time to watch a video, and to upload it.
        video_bytes: maximum size of a video.
        crops: folder in which crops are kept; None: no crops are kept.

    Raises:
        LrfaceError: the token is too short, or other machines could ask without a token.
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
        """Maximum size of the bodies of all open requests together."""
        return 16 * self.max_bytes + 2 * self.videos * self.video_bytes

    @property
    def open_requests(self) -> int:
        """Maximum number of open requests."""
        return 8 * (self.workers + self.waiting + self.videos)

    def admits(self, shown: str | None) -> bool:
        """Whether a request with this token may pass. The comparison takes the same time for every wrong token."""
        if self.token is None:
            return True
        return hmac.compare_digest((shown or "").encode("utf-8", "replace"), self.token.encode())


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def read_token(path: str | Path | None) -> str | None:
    """Read the token from a file, or from the environment variable ``LRFACE_TOKEN`` if no file is given.

    Returns:
        The token, or None if neither is given.

    Raises:
        LrfaceError: the file cannot be read, or is empty.
    """
    if path is None:
        return os.environ.get(TOKEN) or None
    try:
        token = Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = (error.strerror or error) if isinstance(error, OSError) else "it is not text"
        raise LrfaceError(f"cannot read the token file {path}: {reason}") from error
    if not token:
        raise LrfaceError(f"the token file {path} is empty")
    return token
