"""Participants that wait for a process to take them."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable


class Backlog:
    """Hands out participants in order; some come back to be tried again later.

    Parameters
    ----------
    labels
        Participants.
    clock
        Seconds that never go back.
    """

    def __init__(self, labels: Iterable[str], clock: Callable[[], float] = time.monotonic) -> None:
        self._waiting, self._clock = deque(labels), clock
        self._later: list[tuple[float, str]] = []  # when, and who
        self._closed = False

    def __len__(self) -> int:
        return len(self._waiting) + len(self._later)

    @property
    def closed(self) -> bool:
        """Whether nobody will be handed out any more, whoever comes back."""
        return self._closed

    @property
    def seconds_to_next(self) -> float | None:
        """Seconds until `take` gives somebody; None where nobody is left."""
        if self._waiting:
            return 0.0
        if not self._later:
            return None
        return max(0.0, min(self._later)[0] - self._clock())

    def take(self) -> str | None:
        """Return the next participant; None where nobody is due."""
        if self._waiting:
            return self._waiting.popleft()
        if self._later and min(self._later)[0] <= self._clock():
            first = min(self._later)
            self._later.remove(first)
            return first[1]
        return None

    def put_back(self, label: str) -> None:
        """Take back a participant with whom nothing was begun; it is the next one."""
        if not self._closed:
            self._waiting.appendleft(label)

    def retry(self, label: str, seconds: float) -> None:
        """Hand out a participant once more, not before so many seconds have passed."""
        if not self._closed:
            self._later.append((self._clock() + seconds, label))

    def close(self) -> None:
        """Hand out nobody any more."""
        self._closed = True
        self._waiting.clear()
        self._later.clear()
