"""What two states of the program have written is compared byte for byte, but for named parts."""

from __future__ import annotations

import gzip
import io
import json
import shutil
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts"))
from compare_states import entry_points, main  # noqa: E402
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
    head, row = capsys.readouterr().out.splitlines()
    assert head.split() == ["call", "files", "same", "masked", "different"]
    # Same: image, weights and two lists of failures.
    assert row.split() == ["maps", "12", "4", "8", "0"]


@pytest.mark.parametrize("name", [IMAGE, WEIGHTS, CARD, PAGE, TABLE, RECORD, SAID, CHECKPOINT])
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


def test_says_where_a_text_begins_to_differ(states, capsys):
    path = states[1] / SAID
    path.write_text(path.read_text().replace("loss 4.1", "loss 4.2"))
    (line,) = difference(states, capsys)
    assert ": line 2: " in line
    assert "loss 4.1" in line
    assert "loss 4.2" in line


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


def test_a_copy_of_a_state_is_compared_as_well(states, capsys, tmp_path):
    copy = Path(shutil.copytree(states[0], tmp_path / "copy"))
    assert not difference((copy, states[1]), capsys)


def test_a_state_that_is_not_whole_is_refused(states):
    (states[1] / "state.json").unlink()
    with pytest.raises(SystemExit, match=r"no whole state: .*/b/state.json is not there"):
        main(["diff", *map(str, states)])


def test_a_folder_that_is_there_is_refused(states, monkeypatch, tmp_path):
    (tmp_path / "data").mkdir()
    monkeypatch.setenv("DTG_SHARED", str(tmp_path))
    with pytest.raises(SystemExit, match="/a is there: choose a new folder"):
        main(["make", str(states[0])])
    with pytest.raises(SystemExit, match="there is no call nothing; there are texts, demo, "):
        main(["make", str(tmp_path / "new"), "--only", "nothing"])


def test_calls_name_what_there_is():
    programs = entry_points(ROOT)
    assert set(programs) == {"bids_dtg", "dtg-demo", "dtg-models", "dtg-phantom"}
    names = [call.name for call in CALLS]
    assert len(set(names)) == len(names)
    for number, call in enumerate(CALLS):
        assert set(call.needs) <= set(names[:number])
        assert {step.split()[0] for step in call.steps} <= {*programs, "copy", "untime"}
    words = " ".join(step for call in CALLS for step in call.steps)
    assert all(f"inputs/{name}" in words for name in written_inputs())
