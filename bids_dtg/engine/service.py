"""A program that answers requests in the background, one at a time, while others work.

A program of its own, not a fork: it shares no threads of this one. It reads a JSON object a line
and answers each with one. It is started by `begin`, so that it is ready when the first request
comes, and once more after it died.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from bids_dtg.engine.child import describe_end
from bids_dtg.engine.machine import THREAD_VARIABLES, WAIT_VARIABLES
from bids_dtg.engine.work import End

# How long the program may take to end once it has no more requests.
_LEAVE_SECONDS = 10.0

Content = Mapping[str, Any]  # of a request or an answer
Answer = End[Content]


class Service:
    """Hands requests to a program.

    Parameters
    ----------
    command
        Command line that runs the service.
    answered
        Called with each answer, from another thread.
    """

    def __init__(self, command: Sequence[str], answered: Callable[[Answer], None]) -> None:
        self._command, self._answered = command, answered
        self._thread = ThreadPoolExecutor(1, "service")
        self._requests: list[Future[None]] = []
        self._given_up = False
        self._process: subprocess.Popen[str] | None = None

    @property
    def waiting(self) -> int:
        """How many requests have not been handed to the program."""
        return sum(not (request.running() or request.done()) for request in self._requests)

    def begin(self) -> None:
        """Start the program; where it cannot be started, the first request is answered so."""
        with suppress(OSError):
            self._process = self._start()

    def request(self, label: str, content: Content) -> None:
        """Have a request answered, after those that were made before."""
        self._requests.append(self._thread.submit(self._answer, label, content))

    def close(self, *, at_once: bool = False) -> None:
        """Wait for the answers, or give them up; end the program."""
        self._given_up = at_once
        # A program that was never asked would first make itself ready.
        if self._process is not None and (at_once or not self._requests):
            self._process.kill()
        self._thread.shutdown(cancel_futures=at_once)
        self._end()

    def _answer(self, label: str, content: Content) -> None:
        answer = self._ask(label, content)
        if not self._given_up:
            self._answered(answer)

    def _ask(self, label: str, content: Content) -> Answer:
        try:
            process = self._process = self._process or self._start()
        except OSError as err:
            return End(label, error=err)
        assert process.stdin is not None
        assert process.stdout is not None
        with suppress(BrokenPipeError):  # it has ended: nothing will be read
            process.stdin.write(json.dumps(content) + "\n")
            process.stdin.flush()
        if line := process.stdout.readline():
            return End(label, json.loads(line))
        self._end()  # the next request gets another one
        return End(label, died=describe_end(process.returncode))

    def _start(self) -> subprocess.Popen[str]:
        # One thread, as all the cores have other work. It does not hear Ctrl-C: we decide when it
        # ends.
        threads = dict.fromkeys(THREAD_VARIABLES, "1")
        return subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            encoding="utf-8",
            env={**WAIT_VARIABLES, **os.environ, **threads, "PYTHONUTF8": "1"},
            start_new_session=True,
        )

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            with suppress(OSError, ValueError, subprocess.TimeoutExpired):
                process.communicate(timeout=_LEAVE_SECONDS)
            process.kill()
            process.wait()
