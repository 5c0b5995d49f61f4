"""The values that two states of the program have written are compared exactly."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest
from safetensors.numpy import save_file

import bids_dtg
from bids_dtg.workflows import WORKFLOWS, all_workflows

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts"))
from compare_states import entry_points, main  # noqa: E402
from state_calls import CALLS, write_inputs  # noqa: E402

IMAGE, WEIGHTS, TABLE, ARRAYS = "a_statmap.nii.gz", "w.safetensors", "a_qc.tsv", "a.npz"


def write_state(folder: Path, changed: str = "") -> Path:
    """Write files of a call `maps`; one of them may have another value."""
    (folder / "maps").mkdir(parents=True)
    values = {name: np.arange(8.0) for name in (IMAGE, WEIGHTS, TABLE, ARRAYS)}
    if changed:
        values[changed][3] += 1e-6
    image = nibabel.Nifti1Image(values[IMAGE].reshape(2, 2, 2), np.eye(4))
    nibabel.save(image, folder / "maps" / IMAGE)
    save_file({"kernel": values[WEIGHTS]}, folder / "maps" / WEIGHTS)
    rows = "".join(f"{value!r}\t{id(folder)}\n" for value in values[TABLE].tolist())
    (folder / "maps" / TABLE).write_text(f"coverage\tseconds_processing\n{rows}")
    np.savez(folder / "maps" / ARRAYS, r=values[ARRAYS])
    return folder


def test_times_may_differ_and_nothing_else(tmp_path, capsys):
    first, second = (str(write_state(tmp_path / name)) for name in "ab")
    assert main(["diff", first, second]) == 0
    assert capsys.readouterr().out.splitlines()[1].split() == ["maps", "4", "0", "0", "0"]


@pytest.mark.parametrize("name", [IMAGE, WEIGHTS, TABLE, ARRAYS])
def test_one_changed_value_is_found(tmp_path, capsys, name):
    first, second = write_state(tmp_path / "a"), write_state(tmp_path / "b", name)
    assert main(["diff", str(first), str(second)]) == 1
    assert "1 of 8 values differ, by at most 1e-06" in capsys.readouterr().out


def test_files_and_tensors_of_one_state_only_are_listed(tmp_path, capsys):
    first, second = write_state(tmp_path / "a"), write_state(tmp_path / "b")
    (second / "maps" / IMAGE).unlink()
    np.savez(second / "maps" / ARRAYS, r=np.arange(8.0), frames=3)
    assert main(["diff", str(first), str(second)]) == 0
    printed = capsys.readouterr().out
    assert "frames only in B" in printed
    assert "only in A: statmap.nii.gz" in printed


def test_calls_cover_every_workflow_and_analysis(tmp_path):
    names = [call.name for call in CALLS]
    assert len(set(names)) == len(names)
    programs, words = {*entry_points(ROOT), "api", "copy"}, []
    for number, call in enumerate(CALLS):
        assert set(call.needs) <= set(names[:number])
        words += [shlex.split(step if isinstance(step, str) else step[1]) for step in call.steps]
    assert {step[0] for step in words} <= programs
    asked = {
        (
            step[step.index("--workflow") + 1] if "--workflow" in step else "contrasts",
            step[step.index("--analysis") + 1] if "--analysis" in step else "participant",
        )
        for step in words
        if step[0] == "bids_dtg"
    }
    wanted = {(row.name, name) for row in all_workflows() for name in row.analyses}
    assert asked >= wanted | {(name, "participant") for name in WORKFLOWS}
    write_inputs(tmp_path / "inputs")
    text = " ".join(word for step in words for word in step)
    assert [path.name for path in (tmp_path / "inputs").iterdir() if path.name not in text] == []


def test_the_script_of_the_api_uses_all_public_names():
    text = (ROOT / "scripts" / "state_api.py").read_text("utf-8")
    assert [name for name in bids_dtg.__all__ if f"bids_dtg.{name}" not in text] == []
