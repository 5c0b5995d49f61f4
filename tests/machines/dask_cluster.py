"""A dask scheduler and its workers on this machine, and units of work that they can import."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from bids_dtg.errors import RunError
from bids_dtg.progress import step


@contextmanager
def dask_cluster(folder: Path, workers: int = 2, *, nanny: bool = False):
    """Start a scheduler and workers of one thread; yields the scheduler's process and address.

    With a nanny, each worker is a daemon of a process that watches it.
    """
    folder.mkdir(parents=True)
    file, here = folder / "scheduler.json", str(Path(__file__).parent)
    path = os.pathsep.join(filter(None, [here, os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path}
    with ExitStack() as ends, (folder / "log.txt").open("ab") as log:

        def start(kind: str, *words: str) -> subprocess.Popen[bytes]:
            command = [
                sys.executable,
                "-m",
                f"distributed.cli.dask_{kind}",
                "--no-dashboard",
            ]
            command += ["--scheduler-file", str(file), *words]
            process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
            ends.callback(process.wait, timeout=60)
            ends.callback(process.kill)
            return process

        scheduler = start("scheduler", "--port", "0", "--host", "127.0.0.1")
        address = None
        while address is None:
            assert scheduler.poll() is None, (folder / "log.txt").read_text()
            time.sleep(0.1)
            # The scheduler makes the file before it writes it.
            with suppress(FileNotFoundError, json.JSONDecodeError):
                address = json.loads(file.read_text())["address"]
        watched = "--nanny" if nanny else "--no-nanny"
        worker_options = (
            "--nthreads",
            "1",
            "--nworkers",
            "1",
            watched,
            "--local-directory",
        )
        for number in range(workers):
            start("worker", *worker_options, str(folder / f"local-{number}"))
        yield scheduler, address


def prepare(word: str):
    """Return work that reports its label, and results in when and where it was prepared."""
    prepared = os.getpid(), time.monotonic()

    def work(label, reporter):
        if label == "bad":
            raise RunError("no such run")
        if label == "killed":
            os.kill(os.getpid(), signal.SIGSEGV)
        if label == "stuck":
            step("opening a.h5")
            time.sleep(60)
        reporter.stage("working", 0.5)
        reporter.finish(f"{label} with {word}")
        return prepared

    return work


def fail(word: str):
    """Be unable to prepare."""
    raise RunError(f"no {word} here")


def prepare_slow(_given: None):
    """Return work that takes a while."""
    return lambda label, reporter: time.sleep(0.5 if label == "a" else 30)
