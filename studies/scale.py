"""Very many participants, by simulation: what a call costs at each step, and what is left by it.

    python studies/scale.py [--parts linked indexed task tables] [--folder FOLDER]
    python studies/scale.py --parts linked --run FOLDER [--first 20] [--more 4]
    python studies/scale.py --parts linked --tiny --first 600 --more 300

`linked`: one real-size run stands, by links, for 1,000 participants. A plan; the call, killed by
SIGKILL with all its processes once 20 are complete; the same call again until 4 more are; what it
costs in seconds, bytes and files, and whether anything was lost or done twice. `--run` takes the
folder of earlier data (`fmriprep/sub-01` and `bundle`), `--tiny` a run that takes no time.
`indexed`: 100,000 participants whose images are empty files: plans over all and over one.
`task`: one real (tiny) participant among 100,000, of whom all others have results: what the last
task of an array does beside its work. `tables`: the group level over 1,000 to 100,000 participants
with a quality table each, which is a real one with other figures.

Peak memory is the largest of one process; of `linked` calls the sum over all processes, in which
shared memory counts once.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests/builders"))

from participant import make_dataset, tree_memory_mb

PARTS = ("linked", "indexed", "task", "tables")
PROGRAM = [sys.executable, "-m", "bids_dtg.cli"]
STEM, GRID = "task-rest", "task-rest_space-MNI152NLin6Asym_res-2"
CALL = ("--denoise-strategy", "simple", "--no-reports")


@dataclass(frozen=True)
class Done:
    """A finished command."""

    seconds: float
    cpu: float  # seconds, of all its processes
    peak_mb: float  # largest of one process
    output: str  # what it printed, both streams


# Measures a command from a process that is small itself: the peak of a child is at least the memory
# of the process that starts it.
_WATCH = """
import json, os, subprocess, sys, time
start = time.perf_counter()
process = subprocess.Popen(sys.argv[2:], stdout=sys.stderr)
_, status, usage = os.wait4(process.pid, 0)
seconds, code = time.perf_counter() - start, os.waitstatus_to_exitcode(status)
cpu = usage.ru_utime + usage.ru_stime
with open(sys.argv[1], "w") as file:
    json.dump([code, seconds, cpu, usage.ru_maxrss / 1024], file)
"""


def done(words: list[object], *, codes: tuple[int, ...] = (0,)) -> Done:
    """Run a command of the program; end this script if it ends otherwise than expected."""
    command = [*PROGRAM, *map(str, words)]
    with tempfile.NamedTemporaryFile("r") as figures, tempfile.TemporaryFile("w+") as told:
        watch = [sys.executable, "-c", _WATCH, figures.name]
        subprocess.run([*watch, *command], stderr=told, check=True)
        code, *measured = json.load(figures)
        told.seek(0)
        output = told.read()
    if code not in codes:
        raise SystemExit(f"{' '.join(command)}:\n{output[-3000:]}")
    return Done(*measured, output)


def line(what: str, step: Done, people: int = 0) -> None:
    """Print what a command took."""
    each = f" ({1000 * step.cpu / people:.2f} ms a participant)" if people > 1 else ""
    print(
        f"{what}: {step.seconds:.2f} s, cpu {step.cpu:.2f} s{each}, peak {step.peak_mb:.0f} MB, "
        f"{len(step.output) / 1e6:.2f} MB printed; {last_line(step)}",
        flush=True,
    )


def last_line(step: Done) -> str:
    lines = [text for text in step.output.splitlines() if text.strip()]
    return lines[-1][:160] if lines else "nothing printed"


def measured(what: str, people: int, *words: object, codes: tuple[int, ...] = (0,)) -> Done:
    step = done(list(words), codes=codes)
    line(what, step, people)
    return step


def describe(root: Path) -> Path:
    """Begin a dataset of derivatives."""
    root.mkdir(parents=True)
    made = [{"Name": "fMRIPrep", "Version": "0 (synthetic)"}]
    description = {"Name": "many", "BIDSVersion": "1.10.0", "DatasetType": "derivative"}
    (root / "dataset_description.json").write_text(json.dumps(description | {"GeneratedBy": made}))
    return root


def labels_of(people: int) -> list[str]:
    return [f"{number:06d}" for number in range(1, people + 1)]


# A real-size run as many participants


def linked(folder: Path, run: Path, model: Path, people: int, first: int, more: int) -> None:
    """Plan, call, kill and resume over one run that stands for many participants."""
    root, out = describe(folder / "linked"), folder / "linked-out"
    for label in labels_of(people):
        link_person(run / "fmriprep" / "sub-01" / "func", root, label)
    words = [root, out, "participant", "--model", model, *CALL]
    measured(f"{people} linked: plan", people, *words, "--dry-run")
    killed = Call(words, out)
    killed.follow_until(first)
    killed.kill_tree()
    killed.report(f"call, killed with {first} complete")
    before, left = records(out), temporaries(out)
    resumed = Call(words, out)
    resumed.follow_until(len(before) + more)
    resumed.end()
    resumed.report("the same call, ended by SIGTERM")
    after = records(out)
    again = [title for title in before if after.get(title) != before[title]]
    print(
        f"    {len(before)} complete, then {len(after)}; {len(again)} done twice; temporaries "
        f"after the kill {left}, after the resumed call {temporaries(out)}; begun in both: "
        f"{len(begun(out)) - len(after)} without a record",
        flush=True,
    )
    measured(f"verify {len(after)}", len(after), *words, "--verify", codes=(0, 1))
    complete = sorted(title.partition("_")[0].removeprefix("sub-") for title in after)
    chosen = [*words, "--participant-label", *complete]
    measured(f"the same {len(after)} again", len(after), *chosen)
    sizes(out, len(after))


def run_of(folder: Path, run: Path | None, *, small: bool) -> tuple[Path, Path]:
    """Return the folder of the run that stands for all, and its model; made if need be."""
    if small:
        job = tiny(folder)
        return job.folder, job.model
    if run is None:
        run = folder / "run"
        run.mkdir()
        make_dataset(run, 490)
    return run, run / "bundle"


def link_person(func: Path, root: Path, label: str) -> None:
    """Give a participant links to the files of a run, and a sidecar of its own."""
    own = root / f"sub-{label}" / "func"
    own.mkdir(parents=True)
    for path in func.iterdir():
        target = own / path.name.replace("sub-01", f"sub-{label}")
        if path.suffix == ".json":
            shutil.copyfile(path, target)
        else:
            target.symlink_to(path.resolve())


def records(out: Path) -> dict[str, bytes]:
    """Return the record of each complete participant."""
    return {path.stem: path.read_bytes() for path in out.glob("logs/complete/*.json")}


def temporaries(out: Path) -> int:
    return sum(name.startswith(".dtg-") for _, _, names in os.walk(out) for name in names)


def begun(out: Path) -> list[Path]:
    return list(out.glob("sub-*/"))


class Call:
    """A running call: its processes' memory while participants are completed."""

    def __init__(self, words: list[object], out: Path) -> None:
        self._out, self._begun = out, time.perf_counter()
        self._told = tempfile.TemporaryFile("w+")  # noqa: SIM115 - as long as the process
        self._process = subprocess.Popen(
            [*PROGRAM, *map(str, words)],
            stdout=self._told,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._first = self._number()
        self._samples: list[tuple[float, int, float, float]] = []  # s, complete, parent, all in MB

    def _number(self) -> int:
        return sum(1 for _ in self._out.glob("logs/complete/*.json"))

    def follow_until(self, complete: int) -> None:
        """Sample memory until so many participants are complete."""
        while self._process.poll() is None:
            number = self._number()
            seconds, parent = time.perf_counter() - self._begun, own_mb(self._process.pid)
            everything = tree_memory_mb(self._process.pid)
            self._samples.append((seconds, number, parent, everything))
            if number >= complete:
                return
            time.sleep(0.3)
        self._told.seek(0)
        raise SystemExit(self._told.read()[-3000:])

    def kill_tree(self) -> None:
        """Kill all processes at once: none has time for anything."""
        time.sleep(random.Random(0).uniform(0.5, 2.0))  # within the next participant
        pids = [self._process.pid, *descendants(self._process.pid)]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)  # so that no one of them sees the end of another
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        self._process.wait()

    def end(self) -> None:
        self._process.terminate()
        self._process.wait()

    def report(self, what: str) -> None:
        """Print the seconds, and the memory of the parent by the number of participants."""
        seconds, number = self._samples[-1][:2]
        made = number - self._first
        print(
            f"{what}: {made} made in {seconds:.1f} s ({seconds / made:.2f} s each), all processes "
            f"peak {max(sample[3] for sample in self._samples):.0f} MB"
        )
        each = {sample[1]: sample for sample in self._samples}
        begin = next(s[0] for s in self._samples if s[1] > self._first)
        shown = sorted(each)[:: max(1, len(each) // 6)]
        print(f"    first one complete after {begin:.1f} s; the parent's memory:", end=" ")
        print(", ".join(f"{each[n][2]:.1f} MB at {n}" for n in shown), flush=True)
        self._told.close()


def own_mb(pid: int) -> float:
    """Return what a process has for itself."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:  # it has just ended
        return 0.0
    own = re.findall(r"^Private_(?:Clean|Dirty):\s+(\d+) kB", text, re.MULTILINE)
    return sum(map(int, own)) / 1024


def descendants(pid: int) -> list[int]:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [int(child) for child in children] + [d for c in children for d in descendants(int(c))]


def sizes(out: Path, people: int) -> None:
    """Print files and bytes a participant, those of the logs, and what removing takes."""
    logs = usage(out / "logs")
    found = [usage(folder) for folder in begun(out)]
    files, size = (sum(one[k] for one in found) / people for k in (0, 1))
    print(
        f"a participant: {files:.0f} files and folders, {size / 1e6:.1f} MB; in logs "
        f"{logs[1] / 1e3 / people:.1f} kB, of which "
        f"{usage(out / 'logs/complete')[1] / 1e3 / people:.1f} kB is the record"
    )
    start = time.perf_counter()
    shutil.rmtree(out)
    seconds = time.perf_counter() - start
    print(f"removing: {1000 * seconds / people:.1f} ms a participant", flush=True)


def usage(folder: Path) -> tuple[int, int]:
    """Return the number of files and folders, and the bytes of the files."""
    number, size = 1, 0
    for place, folders, names in os.walk(folder):
        number += len(folders) + len(names)
        size += sum(Path(place, name).lstat().st_size for name in names)
    return number, size


# Participants with empty images


def indexed(folder: Path, people: int) -> None:
    """Plan over participants whose images are empty, and over one of them."""
    root, out = describe(folder / "indexed"), folder / "indexed-out"
    with timed(f"{people} indexed: folders and empty files made"):
        for label in labels_of(people):
            make_empty(root, label)
    model = tiny(folder).model
    words = [root, out, "participant", "--model", model, *CALL]
    last = labels_of(people)[-1]
    filters = folder / "filter.json"
    filters.write_text(json.dumps({"bold": {"space": "MNI152NLin6Asym"}}))
    one, cached = ["--participant-label", last], ["--bids-database-dir", folder / "database"]
    plan = [*words, "--dry-run"]
    measured("plan of one label", 1, *plan, *one, codes=(1,))
    measured("plan of one label, warm", 1, *plan, *one, codes=(1,))
    measured("plan of one label, misspelt", 1, *plan, "--participant-label", "99999x", codes=(2,))
    filtered = [*plan, *one, "--bids-filter-file", filters]
    measured("plan of one label, with a filter file", 1, *filtered, codes=(1,))
    for time_ in ("first", "second"):
        measured(f"the same with a database, {time_}", 1, *filtered, *cached, codes=(1,))
    measured("plan of all", people, *plan, codes=(1,))
    with timed("removed"):
        shutil.rmtree(root)


def make_empty(root: Path, label: str) -> None:
    func = root / f"sub-{label}" / "func"
    func.mkdir(parents=True)
    for end in ("desc-preproc_bold.nii.gz", "desc-brain_mask.nii.gz"):
        (func / f"sub-{label}_{GRID}_{end}").touch()
    (func / f"sub-{label}_{GRID}_desc-preproc_bold.json").write_text('{"RepetitionTime": 0.735}')
    (func / f"sub-{label}_{STEM}_desc-confounds_timeseries.tsv").touch()


# The last task of an array


def task(folder: Path, people: int) -> None:
    """Work on one participant, alone and where all others are complete."""
    job = tiny(folder)
    words = [job.bids, job.out, "participant", "--model", job.model, *CALL, "--omp-nthreads", 1]
    measured("a tiny participant, first of an output", 1, *words)
    (record,) = job.out.glob("logs/complete/*.json")
    with timed(f"{people} records and folders made"):
        fill(job.out, record, people - 1)
    again = [*words, "--min-minutes", "1"]  # what shapes results: it is made anew
    measured(f"the same, last of {people}", 1, *again)
    print(f"    {told_stages(job.out)}")
    measured("complete already", 1, *again)
    reports = [word for word in again if word != "--no-reports"]
    shutil.rmtree(job.out / "sub-01")
    measured("made anew with its report and the index", 1, *reports)
    print(f"    index: {(job.out / 'index.html').stat().st_size / 1e6:.1f} MB")
    with timed("removed"):
        shutil.rmtree(job.out)


def fill(out: Path, record: Path, people: int) -> None:
    """Add folders and records of so many participants, as `record` with other names.

    The table has all but the one of the record, who is to be added.
    """
    text = record.read_text()
    for label in labels_of(people):
        (out / f"sub-{label}" / "func").mkdir(parents=True)
        name = record.name.replace("sub-01", f"sub-{label}")
        (record.parent / name).write_text(text.replace("sub-01", f"sub-{label}"))
    rows = "".join(f"sub-{label}\n" for label in labels_of(people))
    (out / "participants.tsv").write_text(f"participant_id\n{rows}")


def told_stages(out: Path) -> str:
    newest = max(out.glob("logs/*/timing.json"), key=lambda path: path.stat().st_mtime_ns)
    return ", ".join(f"{k} {v:.2f} s" for k, v in json.loads(newest.read_text()).items())


def tiny(folder: Path):
    """Return a dataset of one small run with its model, made once."""
    from tiny_job import TinyJob

    place = folder / "tiny"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    return TinyJob(place)


# Tables of the group level


def tables(folder: Path, people: list[int]) -> None:
    """Run the group level over quality tables alone."""
    job = tiny(folder)
    done([job.bids, job.out, "participant", "--model", job.model, *CALL, "--omp-nthreads", 1])
    (table,) = job.out.glob("sub-01/func/*_qc.tsv")
    header, row = (text.split("\t") for text in table.read_text().splitlines())
    for number in sorted(people):
        out = folder / "tables"
        out.mkdir()
        shutil.copyfile(job.out / "dataset_description.json", out / "dataset_description.json")
        with timed(f"{number} quality tables made"):
            rng = random.Random(0)
            for label in labels_of(number):
                write_table(out, label, header, row, rng)
        measured(f"group over {number}", number, out, out, "group")
        for name in ("group.html", "index.html", "group/desc-runs_qc.tsv"):
            print(f"    {name}: {(out / name).stat().st_size / 1e6:.1f} MB", flush=True)
        with timed("removed"):
            shutil.rmtree(out)


def write_table(
    out: Path, label: str, header: list[str], row: list[str], rng: random.Random
) -> None:
    """Write a quality table as a real one, with other figures."""
    func = out / f"sub-{label}" / "func"
    func.mkdir(parents=True)
    own = [f"sub-{label}", *(varied(cell, rng) for cell in row[1:])]
    text = "\t".join(header) + "\n" + "\t".join(own) + "\n"
    (func / f"sub-{label}_{STEM}_qc.tsv").write_text(text)


def varied(cell: str, rng: random.Random) -> str:
    try:
        return f"{float(cell) * rng.gauss(1, 0.1):.4f}" if "." in cell else cell
    except ValueError:
        return cell


@contextmanager
def timed(what: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    print(f"{what} in {time.perf_counter() - start:.1f} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--folder", type=Path, help="where data go; a temporary folder by default")
    parser.add_argument("--run", type=Path, help="folder with fmriprep/sub-01 and bundle")
    parser.add_argument("--tiny", action="store_true", help="a small run stands for all")
    parser.add_argument("--linked", type=int, default=1000, help="participants by links")
    parser.add_argument("--first", type=int, default=20, help="participants before the kill")
    parser.add_argument("--more", type=int, default=4, help="participants after it")
    parser.add_argument("--people", type=int, default=100_000, help="with empty images")
    parser.add_argument("--tables", type=int, nargs="+", default=[1000, 10_000, 100_000])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="dtg-scale-", dir=options.folder) as name:
        folder = Path(name)
        parts: dict[str, Callable[[], None]] = {
            "linked": lambda: linked(
                folder,
                *run_of(folder, options.run, small=options.tiny),
                options.linked,
                options.first,
                options.more,
            ),
            "indexed": lambda: indexed(folder, options.people),
            "task": lambda: task(folder, options.people),
            "tables": lambda: tables(folder, options.tables),
        }
        for part in options.parts:
            parts[part]()


if __name__ == "__main__":
    main()
