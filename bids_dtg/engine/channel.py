"""Values from one process to another by a pipe: the memory of arrays goes as it is, not copied.

The usual way, a pickle of everything, copies an array twice on either side.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from io import FileIO
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

# Smaller arrays are part of the pickle.
_LEAST_BYTES = 2**20


def send_value(sender: Connection, value: object) -> None:
    """Send a value; return when all of it is in the pipe, or has been taken.

    Parameters
    ----------
    sender
        Of a pipe of one direction, as `multiprocessing.Pipe` makes it on POSIX systems.
    value
        Value to send; it can be pickled.

    Raises
    ------
    BrokenPipeError
        Nobody listens any more.

    Examples
    --------
    >>> import threading
    >>> from multiprocessing import Pipe
    >>> receiver, sender = Pipe(duplex=False)
    >>> thread = threading.Thread(target=send_value, args=(sender, np.arange(1e6)))
    >>> thread.start()
    >>> receive_value(receiver)[-1]
    np.float64(999999.0)
    >>> thread.join()
    """
    buffers: list[memoryview] = []
    content = pickle.dumps(value, protocol=5, buffer_callback=_setting_aside(buffers))
    sender.send_bytes(np.array([buffer.nbytes for buffer in buffers], np.int64).tobytes())
    sender.send_bytes(content)
    for rest in buffers:
        while rest.nbytes:
            rest = rest[os.write(sender.fileno(), rest) :]


def receive_value(receiver: Connection) -> Any:
    """Return the next value that `send_value` sends; wait for it.

    Parameters
    ----------
    receiver
        Receiving end of the pipe.

    Raises
    ------
    EOFError, OSError
        The other side has ended; OSError: in the middle of the pickle.
    """
    sizes, content = np.frombuffer(receiver.recv_bytes(), np.int64), receiver.recv_bytes()
    # Not filled with zeros first.
    buffers = [np.empty(size, np.uint8) for size in sizes]
    with FileIO(receiver.fileno(), closefd=False) as pipe:
        for buffer in buffers:
            rest = buffer.data
            while rest.nbytes:
                count = pipe.readinto(rest)
                if not count:
                    raise EOFError
                rest = rest[count:]
    return pickle.loads(content, buffers=buffers)  # noqa: S301  (a process of our own sent it)


def _setting_aside(buffers: list[memoryview]) -> Callable[[pickle.PickleBuffer], bool]:
    """Return pickle's callback that takes large buffers out of the pickle."""

    def stays(buffer: pickle.PickleBuffer) -> bool:
        raw = buffer.raw()
        if raw.nbytes < _LEAST_BYTES:
            return True
        buffers.append(raw)
        return False

    return stays
