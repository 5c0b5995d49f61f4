"""Units of work for a dask cluster: in a module that its processes can import."""

from __future__ import annotations

import os
import time

from bids_dtg.errors import RunError


def prepare(given: str):
    """Return work that reports its label, and results in when and where it was prepared."""
    prepared = os.getpid(), time.monotonic()

    def work(label, reporter):
        if label == "bad":
            raise RunError("no such run")
        reporter.stage("working", 0.5)
        reporter.finish(f"{label} with {given}")
        return prepared

    return work


def fail(given: str):
    """Be unable to prepare."""
    raise RunError(f"no {given} here")


def prepare_slow(_given: None):
    """Return work that takes a while."""

    def work(label, reporter):
        time.sleep(0.5 if label == "a" else 30)

    return work
