"""torch's random numbers, borrowed for a while and given back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def borrowed_chance(device: str = "cpu") -> Iterator[None]:
    """Give torch's random state back after a block: that of the CPU, and of the GPU in use.

    `torch.random.fork_rng` by itself takes hold of every GPU of the machine, of those too that
    other programs work on, and fails in a process that was forked after the GPU was in use.

    Parameters
    ----------
    device
        What the block computes on: cpu, cuda or cuda:N. No other GPU is touched.

    Examples
    --------
    >>> before = torch.get_rng_state()
    >>> with borrowed_chance():
    ...     _ = torch.manual_seed(1), torch.rand(3)
    >>> bool((torch.get_rng_state() == before).all())
    True
    """
    kind, _, number = device.partition(":")
    with torch.random.fork_rng([int(number or 0)] if kind == "cuda" else [], device_type="cuda"):
        yield
