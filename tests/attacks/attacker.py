"""Attacks the program again and again in forked children; a script too, which pytest talks to.

A process of its own, without threads, that forks after what is slow once only. Asked by lines
of JSON on standard input: the name of a case; or [seed, first, number] of fuzzed inputs.
"""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import importlib
import io
import json
import multiprocessing
import os
import shutil
import statistics
import sys
import tempfile
from multiprocessing.connection import Connection
from pathlib import Path

if __name__ == "__main__":
    # The threads of a pool would not survive the fork.
    os.environ["OPENBLAS_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = "1"
    TESTS = Path(__file__).parents[1]
    sys.path[:0] = [str(TESTS / "builders"), str(TESTS)]

from attacks.cases import CASES, Case
from attacks.forks import Ended, adopt_orphans
from attacks.judge import MOST_SECONDS, Normal, Wanted, faults, spy
from attacks.scene import Scene
from tiny_job import TinyJob, tree

_NORMAL_CALLS = 3
_SLOW_IMPORTS = ("bids_dtg", "lightning", "scipy", "sklearn", "torch")
_PATIENCE = 3.0  # times that a normal call may take on a busy machine


class Attacker:
    """Makes what is attacked once, and copies it for each attack.

    Parameters
    ----------
    folder
        Where everything is written; emptied by the caller.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self._number = folder, 0
        self.fixtures = folder / "fixtures"
        self._build()
        gc.freeze()  # a child that looked for garbage in what is imported would copy it
        adopt_orphans()
        self.normal = self._measure()

    def _build(self) -> None:
        """Make the fixtures, and import in this process what a child would import."""
        with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
            pair = self.fixtures / "pair"
            TinyJob(pair, ("01", "02")).run("--no-reports", out=self.folder / "warm")
            warm_up()
        shutil.rmtree(self.folder / "warm")

    def fixture(self, name: str) -> Path:
        """Return a folder that scenes are copied from."""
        folder = self.fixtures / name
        if not folder.is_dir():
            # In a child: threads that a training starts are missing in whatever is forked later,
            # which waits for them. This process only imports what the child has.
            context = multiprocessing.get_context("fork")
            here, there = context.Pipe(duplex=False)
            child = context.Process(target=_built, args=(name, folder, there))
            child.start()
            there.close()
            for module in here.recv():
                if module.partition(".")[0] in _SLOW_IMPORTS:
                    with contextlib.suppress(ImportError):
                        importlib.import_module(module)
            child.join()
        return folder

    def _measure(self) -> Normal:
        """Make calls that nobody attacks."""
        made = []
        for _ in range(_NORMAL_CALLS):
            with self.scene() as scene:
                before = spy(scene)
                ended = scene.run(within=60)
                healthy = {k: v for k, v in tree(scene.out).items() if k.startswith("sub-02/")}
                normal = Normal(ended.seconds, ended.peak_mib, healthy)
                wrong = faults(scene, ended, Wanted((0,), says="-"), normal, before)
                assert healthy, ended
                assert not wrong, (wrong, ended.stderr)
                assert not made or made[-1].healthy == healthy
                made.append(normal)
        seconds = statistics.median(normal.seconds for normal in made)
        return dataclasses.replace(made[0], seconds=seconds)

    @contextlib.contextmanager
    def scene(self, fixture: str = "pair"):
        """Lend a scene, which is removed afterwards."""
        self._number += 1
        # A child that was killed leaves its own, and has counted on from here.
        root = self.folder / f"scene-{os.getpid()}-{self._number}"
        try:
            yield Scene.copied(self.fixture(fixture), root)
        finally:
            remove(root)

    def attack(self, case: Case) -> tuple[list[str], Ended]:
        """Return what is wrong with a call under attack, and how it ended.

        What seems to hang is tried once more: the machine may be busy.
        """
        wrong, ended = self._attack(case)
        if any(fault.startswith("hangs") for fault in wrong):
            wrong, ended = self._attack(case)
        return wrong, ended

    def _attack(self, case: Case) -> tuple[list[str], Ended]:
        within = _PATIENCE * self.normal.seconds + MOST_SECONDS + 2 + case.wanted.seconds
        with self.scene(case.fixture) as scene:
            case.attack(scene)
            before = spy(scene)
            ended = scene.run(within=within)
            return faults(scene, ended, case.wanted, self.normal, before), ended


def warm_up() -> None:
    """Import what the program imports late."""
    import h5py  # noqa: F401
    import matplotlib.font_manager  # noqa: F401 (writes a list of fonts where it has none)
    import nibabel  # noqa: F401
    import safetensors.torch  # noqa: F401
    import scipy.ndimage  # noqa: F401
    import tomli_w  # noqa: F401

    import bids_dtg.cli.models
    import bids_dtg.contrasts.analyses.cohort
    import bids_dtg.imaging.transforms.itk  # noqa: F401


def remove(folder: Path) -> None:
    """Remove a folder whatever an attack has made of its modes."""

    def allow(function, path, _):
        with contextlib.suppress(OSError):
            Path(path).parent.chmod(0o700)
            Path(path).chmod(0o700)
            function(path)

    shutil.rmtree(folder, onerror=allow)


def _built(name: str, folder: Path, modules: Connection) -> None:
    """Make a fixture, and send the names of the modules that this took."""
    from attacks.fixtures import BUILDERS

    with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
        BUILDERS[name](folder)
    modules.send(list(sys.modules))


def _serve() -> None:
    with tempfile.TemporaryDirectory(prefix="dtg-attacks-") as folder:
        attacker = Attacker(Path(folder))
        print(json.dumps({"normal": [attacker.normal.seconds, attacker.normal.peak_mib]}))
        sys.stdout.flush()
        for line in sys.stdin:
            asked = json.loads(line)
            try:
                wrong, ended = attacker.attack(CASES[asked])
                answer = {"wrong": wrong, **dataclasses.asdict(ended)}
            except Exception as err:
                answer = {"wrong": [f"the attack itself failed: {err!r}"], "stderr": ""}
            print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    _serve()
