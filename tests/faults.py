"""Faults of the system that tests bring about, in place of faults put into the program."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest


def at_opening(monkeypatch: pytest.MonkeyPatch, part: str, act: Callable[[], None]) -> None:
    """Have something happen whenever a file is opened with this text in its path."""
    real = Path.open

    def opened(path: Path, *arguments: object, **options: object) -> object:
        if part in str(path):
            act()
        return real(path, *arguments, **options)

    monkeypatch.setattr(Path, "open", opened)


def killing_others() -> Callable[[], None]:
    """Return what ends its process as the system does when memory runs out; never this one."""
    here = os.getpid()

    def kill() -> None:
        if os.getpid() != here:
            os.kill(os.getpid(), signal.SIGKILL)

    return kill
