"""People of the network model from the output of participants: who is used, and who is left out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bids_dtg.dynamics.participant.network_participants import NetworkParticipants
from bids_dtg.errors import DatasetError
from bids_dtg.files.names import build_path
from bids_dtg.files.regions import RegionTable, encode_relmat, encode_series
from bids_dtg.settings import Settings

REGIONS = tuple(f"{side}-{name}" for side in ("lh", "rh") for name in "ABCD")
ATLAS = {"atlas": "Tiny", "seg": "8n"}


def chance_series(seed: int, frames: int = 90) -> np.ndarray:
    """Return series (regions, frames) that remember the frame before."""
    values = (
        np.random.default_rng(seed).standard_normal((len(REGIONS), frames)).cumsum(-1)
    )
    values -= values.mean(-1, keepdims=True)
    return (values / values.std(-1, keepdims=True)).astype(np.float32)


def chance_weights(seed: int) -> np.ndarray:
    """Return a symmetric structural connectome (regions, regions), its largest weight 1."""
    counts = np.random.default_rng(seed).integers(1, 50, (len(REGIONS),) * 2)
    counts = (counts + counts.T) * (1 - np.eye(len(REGIONS)))
    return counts / counts.max()


def write_run(
    root: Path,
    label: str,
    session: str | None = "1",
    *,
    values: np.ndarray | None = None,
    weights: np.ndarray | None = None,
    connected: bool = True,
    names: tuple[str, ...] = REGIONS,
    atlas: dict[str, str] = ATLAS,
    **facts: Any,
) -> Path:
    """Write a run's tables; returns that of the series. `facts` change its sidecar."""
    seed = int(label) * 10 + int(session or 0)
    entities = {
        "sub": label,
        "ses": session,
        "task": "rest",
        "space": "MNI152NLin6Asym",
        **atlas,
    }
    path = root / build_path({**entities, "stat": "mean"}, "timeseries", ".tsv")
    path.parent.mkdir(parents=True, exist_ok=True)
    series = chance_series(seed) if values is None else values
    path.write_bytes(encode_series(RegionTable(names, series)))
    sidecar = {
        "RepetitionTime": 0.8,
        "Atlas": {"SHA256": "abc"},
        "InputType": "fmriprep",
        "DenoiseStrategy": "simple",
        **facts,
    }
    path.with_suffix(".json").write_text(json.dumps(sidecar))
    if connected:
        matrix = RegionTable(
            names, chance_weights(int(label)) if weights is None else weights
        )
        beside = root / build_path({**entities, "desc": "structural"}, "relmat", ".tsv")
        beside.write_bytes(encode_relmat(matrix))
    return path


def prepare(
    root: Path, atlas: str = "", *, connected: bool = True, **options: Any
) -> NetworkParticipants:
    settings = Settings.of(
        bids_dir=root,
        output_dir=root,
        analysis_level="group",
        workflow="dynamics",
        analysis="train",
        **options,
    )
    return NetworkParticipants.prepare(settings, atlas=atlas, connected=connected)


def test_who_is_excluded_on_a_page_is_not_used(tmp_path):
    for label in ("01", "02", "03"):
        write_run(tmp_path, label)
    decisions = tmp_path / "desc-inclusion_participants.tsv"
    decisions.write_text("participant_id\tinclude\nsub-02\tfalse\nsub-03\ttrue\n")
    people = prepare(tmp_path)
    assert people.labels == ("01", "03")
    line = f"excluded by {decisions.name} (sub-02_ses-1_task-rest)"
    assert any(line in note for note in people.source.notes)
    decisions.write_text("participant_id\tinclude\nsub-02\tmaybe\n")
    with pytest.raises(DatasetError, match="include: true, false or n/a"):
        prepare(tmp_path)


def without(values: np.ndarray, frames: Any) -> np.ndarray:
    """Return series of which some frames were censored."""
    changed = values.copy()
    changed[:, frames] = np.nan
    return changed


def test_series_and_connectomes_come_back_as_they_were_written(tmp_path):
    for label in ("01", "02", "03", "04"):
        for session in ("1", "2")[: 1 + (label != "04")]:
            write_run(tmp_path, label, session)
    people = prepare(tmp_path)
    assert (people.sessions, people.labels) == (("1", "2"), ("01", "02", "03", "04"))
    assert (people.regions, people.tr_seconds) == (REGIONS, 0.8)
    source = people.source
    assert (source.atlas, source.atlas_digest) == ("Tiny_seg-8n", "abc")
    assert source.cleaning == "fMRIPrep derivatives, simple"
    assert people.labels_in("2") == ("01", "02", "03")
    networks = people.networks("2", ["03", "01"])
    assert networks.people == ("03", "01")
    assert np.allclose(
        networks.series, [chance_series(32), chance_series(12)], atol=1e-5
    )
    assert np.allclose(
        networks.weights, [chance_weights(3), chance_weights(1)], atol=1e-6
    )
    assert people.notes == ()


def test_gaps_are_filled_and_ends_cut(tmp_path):
    write_run(tmp_path, "01")
    write_run(tmp_path, "02", values=without(chance_series(7), [0, 1, 40, 89]))
    people = prepare(tmp_path)
    assert people.notes == ("session 1: cut to 87 frames, of up to 90",)
    networks = people.networks("1")
    assert networks.frames == 87
    assert networks.keep[0].all()
    assert np.flatnonzero(~networks.keep[1]).tolist() == [
        38
    ]  # measures of FC leave it out
    gap = networks.series[1][:, 38]  # frame 40 of the run
    assert np.allclose(gap, networks.series[1][:, [37, 39]].mean(-1), atol=1e-5)


FULL = chance_series(20)


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        (
            {"RepetitionTime": 0.9},
            "more than 5% from the 0.8 s between frames that most runs have",
        ),
        ({"RepetitionTime": None}, "no RepetitionTime"),
        ({"Atlas": {"SHA256": "other"}}, "another label image"),
        ({"connected": False}, "no structural connectome"),
        (
            {"weights": -chance_weights(2)},
            "a structural connectome with weights below 0",
        ),
        ({"values": FULL[:, :59]}, "fewer than 60 frames"),
        (
            {"values": without(FULL, slice(10, 40))},
            "more than 30% of the frames were censored",
        ),
        (
            {"values": np.where(np.arange(8)[:, None] < 3, np.nan, FULL)},
            "3 parcels without a seri",
        ),
        (
            {"values": chance_series(2, 78)},
            "shorter than 90% of the 90 frames that most have",
        ),
        ({"names": REGIONS[::-1]}, "other parcel names than most"),
    ],
)
def test_a_run_that_cannot_be_used_is_left_out_with_a_line(tmp_path, changed, line):
    for label in ("01", "03", "04"):
        write_run(tmp_path, label)
    write_run(tmp_path, "02", **changed)
    people = prepare(tmp_path)
    assert people.labels == ("01", "03", "04")
    (note,) = [note for note in people.notes if note.startswith("left out: 1 run: ")]
    assert note.startswith(f"left out: 1 run: {line}")
    assert "sub-02_ses-1_task-rest" in note


def test_runs_of_a_session_are_sessions_and_are_chosen(tmp_path):
    for run in ("1", "2"):
        values = chance_series(int(run))
        write_run(tmp_path, "01", values=values, atlas={**ATLAS, "run": run})
    assert prepare(tmp_path).sessions == ("1-run1", "1-run2")
    assert prepare(tmp_path, session_label=("1-run2",)).sessions == ("1-run2",)


def test_connectomes_of_an_option_are_read_in_place_of_those_of_the_output(tmp_path):
    write_run(tmp_path / "out", "01", connected=False)
    with pytest.raises(
        DatasetError, match="no series that a model can use: left out: 1 run"
    ):
        prepare(tmp_path / "out")
    lines = ["\t".join(map(str, row)) for row in chance_weights(5)]
    (tmp_path / "sc.tsv").write_text("\n".join(lines) + "\n")
    people = prepare(tmp_path / "out", structural_connectivity=tmp_path / "sc.tsv")
    assert np.allclose(people.networks("1").weights[0], chance_weights(5), atol=1e-6)
    assert people.notes[0].startswith("sc.tsv names no regions")


def test_copies_are_known(tmp_path):
    write_run(tmp_path, "01", values=chance_series(1))
    write_run(tmp_path, "02", values=3 * chance_series(1))
    write_run(tmp_path, "03")
    assert prepare(tmp_path).families.copies == (("01", "02"),)
