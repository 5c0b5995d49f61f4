"""A dask scheduler and its workers on this machine, as processes that a test may kill."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path


class DaskCluster:
    """Starts a scheduler and workers of one thread; a context, which ends them."""

    def __init__(self, folder: Path, workers: int = 2) -> None:
        self._folder, self._count = folder, workers
        self._file = folder / "scheduler.json"
        self.workers: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> DaskCluster:
        self._folder.mkdir(parents=True)
        self.scheduler = self._start(
            "scheduler", "--port", "0", "--host", "127.0.0.1", "--no-dashboard"
        )
        end = time.monotonic() + 60
        while not self._file.exists():
            assert self.scheduler.poll() is None, (self._folder / "scheduler.log").read_text()
            assert time.monotonic() < end, "no scheduler"
            time.sleep(0.1)
        for _ in range(self._count):
            self.add_worker()
        return self

    def __exit__(self, *_: object) -> None:
        for process in (*self.workers, self.scheduler):
            process.kill()
        for process in (*self.workers, self.scheduler):
            process.wait(timeout=60)

    @property
    def address(self) -> str:
        address: str = json.loads(self._file.read_text())["address"]
        return address

    def add_worker(self) -> None:
        place = self._folder / f"local-{len(self.workers)}"
        one = ("--nthreads", "1", "--nworkers", "1", "--no-nanny", "--no-dashboard")
        self.workers.append(self._start("worker", *one, "--local-directory", str(place)))

    def _start(self, kind: str, *options: str) -> subprocess.Popen[bytes]:
        # Beside this module is what tests have done there.
        path = [str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])]
        command = [sys.executable, "-m", f"distributed.cli.dask_{kind}"]
        with (self._folder / f"{kind}.log").open("ab") as log:
            return subprocess.Popen(
                [*command, "--scheduler-file", str(self._file), *options],
                stdout=log,
                stderr=log,
                env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(path)},
            )
