"""What two states of the program have written is compared byte for byte, but for named parts."""

from __future__ import annotations

import gzip
import io
import json
import shlex
import sys
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import pytest

import bids_dtg
from bids_dtg.settings import InputType
from bids_dtg.workflows import WORKFLOWS, Workflow, all_workflows

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts"))
from compare_states import entry_points, main  # noqa: E402
from state_arrays import KINDS, write_arrays  # noqa: E402
from state_call import Call  # noqa: E402
from state_calls import CALLS, written_inputs  # noqa: E402
from state_files import State  # noqa: E402

RUNS = ("20260131T120000Z-1a2b3c", "20260131T120500Z-0f0f0f")
IMAGE = "maps/out/sub-01/func/sub-01_statmap.nii.gz"
WEIGHTS = "maps/out/group/model-own/bundle/weights.safetensors"
CARD = "maps/out/group/model-own/bundle/model.json"
PAGE = "maps/out/sub-01.html"
TABLE = "maps/out/sub-01/func/sub-01_qc.tsv"
RECORD = "maps/out/logs/complete/sub-01.json"
SAID = "maps/said/01.txt"
HISTORY = "maps/out/group/model-own/desc-training_history.tsv"
OPTIONS = "maps/out/group/model-own/configuration_sha256.json"
DATA = "maps/out/group/model-own/data_sha256.json"
RESTARTS = "maps/out/group/model-own/network_report.html"
TRACES = "maps/out/sub-01/func/sub-01_desc-traces_behaviour.tsv"
CHECKPOINT = "maps/out/group/model-own/network/last.ckpt"


def checkpoint(weights: bytes, seconds: bytes) -> bytes:
    """Write what is like a checkpoint of torch."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("last/data.pkl", seconds)
        archive.writestr("last/data/0", weights)
    return stream.getvalue()


def write_state(folder: Path, seconds: float, clock: str, runs: tuple[str, ...] = RUNS) -> State:
    """Write a state of a call `maps`, made in so many seconds at a time of day."""
    contents: dict[str, str | bytes] = {
        IMAGE: gzip.compress(bytes(range(200)), mtime=0),
        WEIGHTS: (2).to_bytes(8, "little") + b"{}" + bytes(500),
        HISTORY: f"epoch\tloss\tseconds\n1\t4.1\t{seconds}\n",
        OPTIONS: f'{{"bids_dir": "{clock[:2]}ab", "seed": "5fec"}}',
        DATA: f'{{"all.npz": {{"mtime_ns": {clock[:2]}, "sha256": "0a0b"}}}}',
        RESTARTS: f'<td class="number" data-value="0.5">0.50</td><td class="number" '
        f'data-value="{seconds}">{seconds:.1f}</td><td class="number" data-value="True">1</td>',
        TRACES: "seconds\tanswered\n0.08\t0.5\n",
        CARD: f'{{"name": "own", "record": {{"seconds": {seconds}}}}}',
        PAGE: f"<p>2 maps</p><footer>made 2026-01-31 {clock} UTC</footer>",
        TABLE: f"frames\tseconds_processing\tcoverage\n120\t{seconds}\t0.98\n",
        RECORD: f'{{"Completed": "2026-01-31T{clock}:00+00:00", "gsr": false,\n'
        f'"a_qc.tsv": {{"size": {len(str(seconds))}, "sha256": "{clock}"}},\n'
        f'"a.tsv": {{"size": 90, "mtime_ns": {clock[:2]}, "sha256": "00ff"}}}}',
        SAID: ("" if seconds < 10 else f"{clock}:01 2 reports are still to be made\n")
        + f"{clock}:01 sub-01: 47 maps\nepoch 1/2: loss 4.1, {seconds:.0f} s\n"
        f"see {folder}/maps/out/logs/{runs[0]}/failures.tsv\n",
        CHECKPOINT: checkpoint(bytes(64), str(seconds).encode()),
    }
    for number, run in enumerate(runs):
        contents[f"maps/out/logs/{run}/failures.tsv"] = f"participant_id\nsub-0{number}\n"
        contents[f"maps/out/logs/{run}/timing.json"] = f'{{"read": {seconds}}}'
    for name, content in contents.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    state = State(folder, str(folder), "/code", ("maps",))
    state.write()
    return state


@pytest.fixture
def states(tmp_path) -> tuple[Path, Path]:
    """Two states that are the same but for what may differ."""
    later = ("20260201T000000Z-ffffff", "20260201T000700Z-000000")
    write_state(tmp_path / "a", 4.25, "12:00")
    write_state(tmp_path / "b", 13.5, "23:59", later)
    return tmp_path / "a", tmp_path / "b"


def difference(states: tuple[Path, Path], capsys) -> list[str]:
    """Compare; return the lines of what differs, and hold the exit code against them."""
    code = main(["diff", *map(str, states)])
    lines = [line for line in capsys.readouterr().out.splitlines() if "different: " in line]
    assert code == (1 if lines else 0)
    return lines


def test_times_run_ids_and_folders_may_differ(states, capsys):
    assert main(["diff", *map(str, states)]) == 0
    head, row, last = capsys.readouterr().out.splitlines()
    assert head.split() == ["call", "files", "same", "masked", "different"]
    # Same: image, weights, traces and two lists of failures.
    assert row.split() == ["maps", "17", "5", "12", "0"]
    assert last == "images and arrays: 2, of which none differ"


@pytest.mark.parametrize(
    "name",
    [
        *(IMAGE, WEIGHTS, CARD, PAGE, TABLE, RECORD, SAID, CHECKPOINT),
        *(HISTORY, OPTIONS, DATA, RESTARTS, TRACES),
    ],
)
def test_a_single_changed_byte_is_found(states, capsys, name):
    path = states[1] / name
    data = path.read_bytes()
    old, new = {
        IMAGE: (data, gzip.compress(bytes([1, *range(1, 200)]), mtime=0)),
        WEIGHTS: (bytes(500), bytes(499) + b"\x01"),
        CARD: (b"own", b"owl"),
        PAGE: (b"2 maps", b"3 maps"),
        TABLE: (b"0.98", b"0.97"),
        RECORD: (b"00ff", b"00fe"),
        SAID: (b"loss 4.1", b"loss 4.2"),
        CHECKPOINT: (data, checkpoint(b"\x01" + bytes(63), b"13.5")),
        HISTORY: (b"4.1", b"4.2"),
        OPTIONS: (b"5fec", b"5fed"),
        DATA: (b"0a0b", b"0a0c"),
        RESTARTS: (b"0.50", b"0.51"),
        TRACES: (b"0.08", b"0.16"),
    }[name]
    path.write_bytes(data.replace(old, new, 1))
    assert path.read_bytes() != data
    (line,) = difference(states, capsys)
    assert line.startswith(f"different: {name}: ")


def test_images_are_compared_inflated_and_free_metadata_in_any_order(states, capsys):
    path = states[1] / IMAGE
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()), 1, mtime=7))
    for folder, order in zip(states, (["people", "facts"], ["facts", "people"]), strict=True):
        head = {"__metadata__": dict.fromkeys(order, "6"), "sums": {"shape": [3]}}
        text = json.dumps(head).encode()
        (folder / WEIGHTS).write_bytes(len(text).to_bytes(8, "little") + text + bytes(24))
    assert not difference(states, capsys)
    path.write_bytes(gzip.compress(bytes(200), mtime=7))
    weights = states[1] / WEIGHTS
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    starts = [line.rpartition(": ")[0] for line in difference(states, capsys)]
    assert starts == [f"different: {name}" for name in sorted((IMAGE, WEIGHTS))]


def test_a_damaged_image_differs_and_a_cut_one_is_compared(states, capsys):
    paths = [folder / IMAGE for folder in states]
    data = paths[0].read_bytes()
    paths[1].write_bytes(data[:50] + bytes([data[50] ^ 1]) + data[51:])
    (line,) = difference(states, capsys)
    assert line.startswith(f"different: {IMAGE}: ")
    paths[0].write_bytes(gzip.compress(bytes(range(200)), mtime=1)[:-8])
    paths[1].write_bytes(data[:-8])
    assert not difference(states, capsys)


@pytest.mark.parametrize("name", [IMAGE, WEIGHTS, CARD, CHECKPOINT])
def test_a_file_that_is_not_what_its_name_promises_differs(states, capsys, name):
    (states[1] / name).write_bytes(b"\xff")
    (line,) = difference(states, capsys)
    assert line.startswith(f"different: {name}: ")


def test_a_file_of_one_state_only_is_found(states, capsys):
    (states[1] / IMAGE).unlink()
    (states[0] / PAGE).unlink()
    assert difference(states, capsys) == [
        f"different: {PAGE}: only in {states[1]}",
        f"different: {IMAGE}: only in {states[0]}",
    ]


def test_runs_of_the_program_are_kept_apart(states, capsys):
    path = states[1] / "maps/out/logs/20260201T000700Z-000000/failures.tsv"
    path.write_text(path.read_text().replace("sub-01", "sub-02"))
    (line,) = difference(states, capsys)
    assert line.startswith("different: maps/out/logs/RUN-2/failures.tsv: line 2: ")


def test_a_state_that_is_not_whole_is_refused(states):
    (states[1] / "state.json").unlink()
    with pytest.raises(SystemExit, match=r"no whole state: .*/b/state.json is not there"):
        main(["diff", *map(str, states)])


def test_calls_name_what_there_is(tmp_path):
    programs = entry_points(ROOT)
    assert set(programs) == {"bids_dtg", "dtg-demo", "dtg-models", "dtg-phantom"}
    names = [call.name for call in CALLS]
    assert len(set(names)) == len(names)
    for number, call in enumerate(CALLS):
        assert set(call.needs) <= set(names[:number])
        assert {step.split()[0] for step in call.steps} <= {*programs, "api", "copy", "untime"}
    words = " ".join(step for call in CALLS for step in call.steps)
    write_arrays(tmp_path)
    for name in (*written_inputs(), *(path.name for path in tmp_path.iterdir())):
        assert f"inputs/{name}" in words


@dataclass(frozen=True)
class Given:
    """What a call gives to ``bids_dtg``."""

    words: list[str]

    def value(self, option: str, default: str = "") -> str:
        return self.words[self.words.index(option) + 1] if option in self.words else default

    @property
    def workflow(self) -> str:
        return self.value("--workflow", "contrasts")

    @property
    def analysis(self) -> str:
        return self.value("--analysis")


MODES = ("--reports-only", "--verify", "--boilerplate-only")
MAPS_ONLY = ("--surfaces", "--output-spaces")


def given(calls: Sequence[Call], program: str = "bids_dtg") -> list[Given]:
    """Return what calls give to a program, but for what is refused."""
    steps = [step for call in calls if call.exit_code < 2 for step in call.steps]
    return [Given(shlex.split(step)[1:]) for step in steps if step.split()[0] == program]


def uncovered(calls: Sequence[Call]) -> list[str]:
    """Return the workflows, analyses and kinds of input that no call has."""
    there = given(calls)
    wanted = dict(_of_participants([each for each in there if "participant" in each.words]))
    for workflow in all_workflows():
        wanted |= _of_groups(workflow, [each for each in there if each.workflow == workflow.name])
    demos = [row.name for row in all_workflows() if row.demo is not None]
    phantoms = [row.name for row in all_workflows() if row.phantom is not None]
    for program, names in (("dtg-demo", demos), ("dtg-phantom", phantoms)):
        found = [each.workflow for each in given(calls, program) if "--help" not in each.words]
        wanted |= {f"{program} --workflow {name}": name in found for name in names}
    wanted["api"] = bool(given(calls, "api"))
    return [name for name, found in wanted.items() if not found]


def _of_participants(there: Sequence[Given]) -> Iterator[tuple[str, bool]]:
    for name in WORKFLOWS:
        own = [set(each.words) for each in there if each.workflow == name]
        yield f"{name} participant", any(not words & set(MODES) for words in own)
        for mode in MODES:
            yield f"{name} participant {mode}", any(mode in words for words in own)
    for option in MAPS_ONLY:
        yield option, any(option in each.words for each in there)
    for kind in get_args(InputType):
        yield f"--input-type {kind}", any(each.value("--input-type") == kind for each in there)


def _of_groups(workflow: Workflow, own: Sequence[Given]) -> Iterator[tuple[str, bool]]:
    """Say which analyses of a workflow there are, and of which formats of arrays."""
    for name, row in workflow.analyses.items():
        asked = [each for each in own if each.analysis == name]
        yield f"{workflow.name} --analysis {name}", bool(asked)
        files = [Path(each.value("--input-arrays")).suffix for each in asked]
        if row.arrays != "never" and workflow.name == "contrasts":
            for form in KINDS:
                yield f"{workflow.name} --analysis {name} of {form}", f".{form}" in files
    yield f"{workflow.name} of arrays", any("--input-arrays" in each.words for each in own)


def test_there_is_a_call_of_each_workflow_analysis_and_kind_of_input():
    assert uncovered(CALLS) == []


@pytest.mark.parametrize(
    ("call", "lost"),
    [
        ("arrays", "contrasts --analysis predict of h5"),
        ("study", "contrasts --analysis associate"),
        ("dynamics", "dynamics --analysis fixed-points"),
        ("dynamics_arrays", "dynamics of arrays"),
        ("twin", "twin participant --verify"),
        ("demo_twin", "dtg-demo --workflow twin"),
        ("layouts", "--input-type ukb"),
        ("surfaces", "--output-spaces"),
        ("api", "api"),
    ],
)
def test_a_missing_call_is_found(call, lost):
    assert lost in uncovered([each for each in CALLS if each.name != call])


def test_the_script_of_the_api_uses_all_public_names():
    text = (ROOT / "scripts" / "state_api.py").read_text("utf-8")
    assert [name for name in bids_dtg.__all__ if f"bids_dtg.{name}" not in text] == []
