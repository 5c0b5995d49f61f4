"""Devices that tests run on: the CPU always, a GPU where `make test-gpu` finds one."""

from __future__ import annotations

import pytest

# Of tests that need no GPU: on the CPU they are fast tests like all others.
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]
