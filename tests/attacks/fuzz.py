"""Gives the program inputs made by chance, and reports what it does not stand.

python tests/attacks/fuzz.py --count N [--seed S] [--state FOLDER] [--again INDEX]

An input is made from the seed and its number alone, so that it can be made again (`--again`).
Most are read in a child by the function that reads such a file, some by a whole call on two
participants; what a function does not stand is tried in a whole call before it is a finding.
FOLDER keeps where the fuzzer stands, and the inputs of findings: called again, it goes on to
input N. Exit code 1 where there are findings.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import select
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

if __name__ == "__main__":
    os.environ["OPENBLAS_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = "1"
    TESTS = Path(__file__).parents[1]
    sys.path[:0] = [str(TESTS / "builders"), str(TESTS)]

from attacks.attacker import Attacker, remove
from attacks.forks import Around, Ended, be_in
from attacks.inputs import KINDS, choose, measured
from attacks.judge import MOST_SECONDS, Wanted, faults, of_every_call, spy
from attacks.scene import Scene

_BATCH = 100  # inputs that a child reads, unless one is its end
_SHOWN = 100  # inputs between two lines
_PATIENCE = 4.0  # seconds more than are allowed, as the machine may be busy


@dataclass
class State:
    """Where the fuzzer stands."""

    seed: int = 1
    next: int = 0  # number of the next input
    seconds: float = 0.0
    counts: dict[str, int] = field(default_factory=dict)  # inputs by kind
    findings: list[dict[str, object]] = field(default_factory=list)

    @classmethod
    def read(cls, folder: Path, seed: int) -> State:
        """Read the state of a folder; a new one where there is none, or one of another seed."""
        path = folder / "state.json"
        if path.exists() and (state := cls(**json.loads(path.read_text()))).seed == seed:
            return state
        return cls(seed)

    def write(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "state.new"
        path.write_text(json.dumps(vars(self), indent=1))
        path.replace(folder / "state.json")


class Fuzzer:
    """Makes inputs and has them read.

    Parameters
    ----------
    attacker
        Has what is attacked.
    seed
        Of all inputs.
    """

    def __init__(self, attacker: Attacker, seed: int) -> None:
        self._attacker, self._seed = attacker, seed
        for kind in KINDS.values():
            attacker.fixture(kind.fixture)

    def run(self, first: int, number: int) -> Iterator[tuple[int, list[str]]]:
        """Yield the number and the faults of each input."""
        index, last = first, first + number
        while index < last:
            _, whole, _ = choose(self._seed, index)
            if whole:
                yield index, self.whole(index)
                index += 1
                continue
            for done, wrong in self._batch(index, min(last, index + _BATCH)):
                yield done, wrong and self._sure(done, wrong)
                index = done + 1

    def _sure(self, index: int, wrong: list[str]) -> list[str]:
        """Return the faults of an input that was read in a batch, tried once more."""
        kind = KINDS[choose(self._seed, index)[0]]
        if kind.door is measured:  # the program says of itself what a function raises
            return self.whole(index)
        if any("hangs" in fault or "died" in fault for fault in wrong):
            return next((faults_ for _, faults_ in self._batch(index, index + 1)), [])
        return wrong

    def whole(self, index: int) -> list[str]:
        """Have an input read by a whole call, once more if that seems to hang."""
        wrong = self._whole(index)
        return self._whole(index) if any("hangs" in fault for fault in wrong) else wrong

    def _whole(self, index: int) -> list[str]:
        name, _, rng = choose(self._seed, index)
        kind = KINDS[name]
        with self._attacker.scene(kind.fixture) as scene:
            kind.make(rng, scene)
            around = spy(scene)
            ended = scene.run(within=self._attacker.normal.seconds + MOST_SECONDS + _PATIENCE)
            wanted = Wanted((0, 1, 2), healthy=name in _OF_ONE)
            wrong = faults(scene, ended, wanted, self._attacker.normal, around)
            return [f"{name}: {fault}" for fault in wrong]

    def keep(self, index: int, folder: Path) -> None:
        """Keep the files of an input that differ from what it was made of."""
        name, _, rng = choose(self._seed, index)
        kind = KINDS[name]
        with self._attacker.scene(kind.fixture) as scene:
            kind.make(rng, scene)
            origin = self._attacker.fixture(kind.fixture)
            for path in sorted(scene.place.rglob("*")):
                relative = path.relative_to(scene.place)
                old = origin / relative
                if path.is_file() and not (old.is_file() and old.read_bytes() == path.read_bytes()):
                    (folder / relative).parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy(path, folder / relative)
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "words.json").write_text(json.dumps([name, scene.program, scene.words()]))

    def _batch(self, first: int, last: int) -> Iterator[tuple[int, list[str]]]:
        """Have inputs read in one child, up to the first that needs a whole call, or its end."""
        ours, theirs = os.pipe()
        child = os.fork()
        if not child:
            os.close(ours)
            self._be_child(first, last, theirs)
        os.close(theirs)
        index, begun = first, time.monotonic()
        try:
            with os.fdopen(ours, "rb", buffering=0) as answers:
                while index < last:
                    ready = select.select([answers], [], [], MOST_SECONDS + _PATIENCE)[0]
                    line = answers.readline() if ready else b""
                    if not ready:
                        yield index, [f"hangs for {time.monotonic() - begun:.0f} s"]
                        return
                    if not line:
                        yield index, ["the process that reads it has died"]
                        return
                    answer = json.loads(line)
                    if answer is None:  # the next one is for a whole call
                        return
                    begun = time.monotonic()
                    yield answer[0], answer[1]
                    index = answer[0] + 1
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                while True:
                    os.waitpid(-1, 0)

    def _be_child(self, first: int, last: int, out: int) -> None:
        try:
            with tempfile.TemporaryFile() as file:
                descriptor = file.fileno()
                home = self._attacker.folder
                be_in(Around(home), {"stdout": descriptor, "stderr": descriptor})
                for index in range(first, last):
                    if choose(self._seed, index)[1]:
                        os.write(out, b"null\n")
                        break
                    answer = json.dumps([index, self._read(index)]).encode() + b"\n"
                    os.write(out, answer)
        finally:
            os._exit(0)

    def _read(self, index: int) -> list[str]:
        """Have an input read in this process."""
        name, _, rng = choose(self._seed, index)
        kind = KINDS[name]
        with self._attacker.scene(kind.fixture) as scene:
            kind.make(rng, scene)
            wrong = self._judged(kind.door, scene)
        return [f"{name}: {fault}" for fault in wrong]

    def _judged(self, door, scene: Scene) -> list[str]:
        from bids_dtg.errors import DtgError

        os.environ.update(scene.surroundings())
        tempfile.tempdir = None
        _forget_peak()
        before, begun = _peak_mib(), time.monotonic()
        path, trace = scene.place / "said", ""
        streams = sys.stdout, sys.stderr
        with path.open("w", encoding="utf-8", errors="backslashreplace") as said:
            sys.stdout = sys.stderr = said
            try:
                code = door(scene)
            except SystemExit as end:
                code = end.code if isinstance(end.code, int) else 2
            except DtgError as err:
                print(f"error: {err}")
                code = 2
            except Exception:
                code, trace = 70, traceback.format_exc()
            finally:
                sys.stdout, sys.stderr = streams
        seconds, peak = time.monotonic() - begun, _peak_mib() - before
        said = path.read_text(encoding="utf-8", errors="replace")
        ended = Ended(code, seconds, self._attacker.normal.peak_mib + peak, "", said, 0, False)
        wrong = of_every_call(ended, self._attacker.normal)
        return [*wrong, *([trace[-1500:]] if trace else [])]


# Kinds that change participant 01 alone.
_OF_ONE = (
    "sidecar",
    "header",
    "stream",
    "image",
    "mask",
    "confounds",
    "transform",
)


def _forget_peak() -> None:
    """Have the kernel begin anew with this process's largest memory."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _peak_mib() -> float:
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def fuzz(count: int, seed: int, folder: Path) -> State:
    """Go on to this number of inputs; print rates and findings, and return the state."""
    state = State.read(folder, seed)
    with tempfile.TemporaryDirectory(prefix="dtg-fuzz-", ignore_cleanup_errors=True) as place:
        fuzzer = Fuzzer(Attacker(Path(place)), seed)
        print(f"fuzz: seed {seed}, inputs {state.next} to {count}, {len(KINDS)} kinds", flush=True)
        last = time.monotonic()
        counts = Counter(state.counts)
        for index, wrong in fuzzer.run(state.next, count - state.next):
            name = choose(seed, index)[0]
            counts[name] += 1
            if wrong:
                state.findings.append({"index": index, "kind": name, "what": wrong})
                fuzzer.keep(index, folder / "findings" / str(index))
                print(f"finding: input {index} of seed {seed}: {' | '.join(wrong)}", flush=True)
            state.next, state.counts = index + 1, dict(counts)
            now = time.monotonic()
            if state.next % _SHOWN == 0 or state.next == count or wrong:
                state.seconds, last = state.seconds + now - last, now
                state.write(folder)
            if state.next % _SHOWN == 0 or state.next == count:
                print(
                    f"fuzz: {state.next} of {count} inputs in {state.seconds:.0f} s "
                    f"({1000 * state.seconds / state.next:.0f} ms each), "
                    f"{len(state.findings)} findings",
                    flush=True,
                )
    return state


def main() -> int:
    """Run the fuzzer, and return its exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--count", type=int, default=1000, metavar="N", help="inputs, from the first"
    )
    parser.add_argument("--seed", type=int, default=1, metavar="S")
    parser.add_argument("--state", type=Path, default=Path(".fuzz"), metavar="FOLDER")
    parser.add_argument("--again", type=int, metavar="INDEX", help="make one input again")
    asked = parser.parse_args()
    if asked.again is not None:
        return _again(asked.again, asked.seed, asked.state)
    state = fuzz(asked.count, asked.seed, asked.state)
    kinds = ", ".join(f"{name} {number}" for name, number in sorted(state.counts.items()))
    print(f"fuzz: {kinds}")
    return int(bool(state.findings))


def _again(index: int, seed: int, folder: Path) -> int:
    with tempfile.TemporaryDirectory(prefix="dtg-fuzz-", ignore_cleanup_errors=True) as place:
        fuzzer = Fuzzer(Attacker(Path(place)), seed)
        kept = folder / "again" / str(index)
        if kept.exists():
            remove(kept)
        fuzzer.keep(index, kept)
        wrong = [fault for _, faults_ in fuzzer.run(index, 1) for fault in faults_]
    print(f"fuzz: input {index} of seed {seed} is in {kept}: {wrong or 'no fault'}")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
