"""Maps of one participant: averages, spread, sidecars, further outputs."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from urllib.parse import unquote, urlsplit

import nibabel as nib
import numpy as np
import pytest
from fmriprep_dataset import describe_dataset
from maps_bundle import TINY_AFFINE, tiny_masks, write_tiny_bundle
from maps_job import TinyJob, add_rest, map_facts, read_table, tiny_bold

from bids_dtg.files.names import parse_name
from bids_dtg.files.sidecars import read_inherited

pytestmark = pytest.mark.slow

NAME = "{}_space-MNI152NLin6Asym_res-2_contrast-{}_stat-z_desc-{}_statmap"


@pytest.fixture
def job(tmp_path) -> TinyJob:
    return TinyJob(tmp_path, ())


def read_map(
    out: Path, title: str, contrast: str = "languageMath", desc: str = "synthetic"
):
    (path,) = out.rglob(f"{NAME.format(title, contrast, desc)}.nii.gz")
    return nib.load(path).get_fdata()


def read_sidecar(out: Path, title: str, contrast: str = "languageMath") -> dict:
    (path,) = out.rglob(f"{NAME.format(title, contrast, 'synthetic')}.nii.gz")
    return map_facts(path)


def titles(out: Path) -> set[str]:
    return {
        path.name.partition("_space-")[0]
        for path in out.rglob("*synthetic_statmap.nii.gz")
    }


def folders(out: Path) -> set[str]:
    parents = {path.parent for path in out.rglob("*synthetic_statmap.nii.gz")}
    return {path.relative_to(out).as_posix() for path in parents}


# --- averages of runs


def test_names_of_the_sets(job):
    for session in "AB":
        for run in (1, 2):
            add_rest(job.bids, session=session, entities=f"run-{run}", seed=run)
    add_rest(job.bids, session="B", task="restEyes", entities="acq-mb_dir-AP")
    assert job.run("--combine", "run") == 0
    by_run = {f"sub-01_ses-{s}_task-rest_run-{r}" for s in "AB" for r in (1, 2)}
    assert titles(job.out) == {*by_run, "sub-01_ses-B_task-restEyes_acq-mb_dir-AP"}
    assert folders(job.out) == {"sub-01/ses-A/func", "sub-01/ses-B/func"}

    session, participant = job.folder / "session", job.folder / "participant"
    assert job.run(out=session) == 0
    by_session = {"sub-01_ses-A_task-rest", "sub-01_ses-B_task-rest"}
    assert titles(session) == {*by_session, "sub-01_ses-B_task-restEyes_acq-mb_dir-AP"}
    assert folders(session) == {"sub-01/ses-A/func", "sub-01/ses-B/func"}

    assert job.run("--combine", "participant", out=participant) == 0
    assert titles(participant) == {
        "sub-01_task-rest",
        "sub-01_task-restEyes_acq-mb_dir-AP",
    }
    assert folders(participant) == {"sub-01/func"}
    assert len(list(participant.rglob("*_qc.tsv"))) == 5


def test_average_is_weighted_by_residual_degrees_of_freedom(job):
    """C2: as much rest with fewer columns removed counts more."""
    frames = {1: 55, 2: 66, 3: 61}
    for run, number in frames.items():
        add_rest(
            job.bids, entities=f"run-{run}", seed=run, frames=number, n_non_steady=3
        )
    parts, whole = job.folder / "parts", job.out
    assert job.run("--combine", "run", out=parts) == 0
    assert job.run(out=whole) == 0
    runs = [read_map(parts, f"sub-01_task-rest_run-{run}") for run in frames]
    facts = [
        read_sidecar(parts, f"sub-01_task-rest_run-{run}")["Runs"][0] for run in frames
    ]
    weights = [run["ResidualDegreesOfFreedom"] for run in facts]
    columns = [run["Cleaning"]["Rank"] for run in facts]
    assert weights == [
        n - 3 - lost for n, lost in zip(frames.values(), columns, strict=True)
    ]
    expected = np.average(runs, axis=0, weights=weights)
    average = read_map(whole, "sub-01_task-rest")
    np.testing.assert_allclose(average, expected, rtol=0, atol=1e-5)
    by_time = np.average(
        runs, axis=0, weights=[number - 3 for number in frames.values()]
    )
    assert np.abs(average - by_time).max() > 1e-4, "the weights show"

    sidecar = read_sidecar(whole, "sub-01_task-rest")
    assert sidecar["NSegments"] == 3
    assert sidecar["SecondsOfRest"] == 10 * (sum(frames.values()) - 9)
    assert sidecar["ResidualDegreesOfFreedom"] == np.sum(weights)
    assert sidecar["SegmentsWeightedBy"] == "ResidualDegreesOfFreedom"


def test_runs_of_a_session_are_joined_for_a_model_that_reads_sessions(job, capsys):
    """The maps are those of one file in which the cleaned runs follow each other."""
    job.model = job.folder / "sessions"
    write_tiny_bundle(job.model, segment_seconds=3600.0, sample="session")
    runs = [tiny_bold(number, seed) for seed, number in enumerate((55, 80))]
    for number, bold in enumerate(runs, 1):
        add_rest(
            job.bids,
            entities=f"run-{number}",
            bold=bold.astype(np.float32),
            session="1",
        )
    add_rest(job.bids, session="2", seed=5)
    parts = [bold - bold.mean(axis=3, keepdims=True) for bold in runs]
    joined = TinyJob(job.folder / "joined", ())
    joined.model = job.folder / "whole"
    write_tiny_bundle(joined.model, segment_seconds=86400.0)
    bold = (1000 + np.concatenate(parts, axis=3)).astype(np.float32)
    add_rest(joined.bids, bold=bold, session="1")
    add_rest(joined.bids, session="2", seed=5)
    words = ("--denoise-strategy", "none")
    all_sessions = ("--combine", "participant")
    for tiny_job in (job, joined):
        assert tiny_job.run(*words) == 0
        assert tiny_job.run(*words, *all_sessions, out=tiny_job.folder / "both") == 0
    log = capsys.readouterr().err
    assert (
        "trained on joined runs of 60 minutes per session; these have 10 to 22.5" in log
    )
    for runs_output, joined_output, title in (
        (job.out, joined.out, "sub-01_ses-1_task-rest"),
        (job.folder / "both", joined.folder / "both", "sub-01_task-rest"),
    ):
        values, wanted = read_map(runs_output, title), read_map(joined_output, title)
        np.testing.assert_allclose(values, wanted, rtol=0, atol=1e-4)
        assert np.std(wanted) > 0.01
    sidecar = read_sidecar(job.out, "sub-01_ses-1_task-rest")
    assert (sidecar["NSegments"], sidecar["SecondsOfRest"], len(sidecar["Runs"])) == (
        1,
        1350,
        2,
    )
    assert sidecar["SampleNote"].endswith("60 minutes per session; these have 22.5.")
    methods = (job.out / "logs/CITATION.md").read_text()
    assert "done for all runs of a session together" in " ".join(methods.split())
    assert job.run("--combine", "run") == 2
    log = " ".join(capsys.readouterr().err.split())
    assert "joins all runs of a session. Expected: --combine session or" in log


def test_two_segments_of_one_run(job):
    """The maps are the mean of those of the two parts, cleaned together."""
    import bids_dtg
    from bids_dtg.connectome.connectome import run_connectomes
    from bids_dtg.connectome.design import TemporalDesign
    from bids_dtg.connectome.moments import measure_run
    from bids_dtg.contrasts.participant.measure import Reader
    from bids_dtg.settings import CleaningOptions

    bold = tiny_bold(86)
    add_rest(job.bids, bold=bold)
    assert job.run("--denoise-strategy", "none") == 0
    bundle = bids_dtg.load_bundle(job.model)
    reader = Reader(bundle, CleaningOptions())
    series = bold.reshape(-1, 86)[reader.places.positions].T.astype(np.float32)
    design = TemporalDesign.build(None, (), np.ones(86, bool), 10.0)
    moments = measure_run(
        lambda: (block for block in [(0, series.copy())]),
        design,
        reader.run_voxels(np.ones(len(reader.in_brain), bool)),
        segments=design.segments(),
    )
    segments = run_connectomes(moments).segments
    assert len(segments) == 2
    inputs = np.zeros((2, 4, *bundle.grid.shape), np.float32)
    for volume, segment in zip(inputs, segments, strict=True):
        volume[:, bundle.places.mask] = segment.r
    outputs = eager(bundle, inputs)[:, :, bundle.places.mask]
    for index, contrast in enumerate(bundle.contrasts):
        mean = read_map(job.out, "sub-01_task-rest", contrast.label)[bundle.places.mask]
        np.testing.assert_allclose(mean, outputs[:, index].mean(0), rtol=0, atol=1e-4)
    assert read_sidecar(job.out, "sub-01_task-rest")["NSegments"] == 2


def eager(bundle, inputs: np.ndarray) -> np.ndarray:
    import torch

    with torch.inference_mode():
        return bundle.network()(torch.from_numpy(inputs)).numpy()


def test_each_table_has_a_sidecar_and_what_a_set_shares_stands_once(job):
    add_rest(job.bids)
    assert job.run("--write", "maps", "connectome") == 0
    tables = list(job.out.rglob("sub-01/**/*.tsv"))
    assert len(tables) >= 4
    for table in tables:
        assert json.loads(table.with_suffix(".json").read_text()), table
    relmat = json.loads(next(job.out.rglob("*_relmat.json")).read_text())
    assert (relmat["Directed"], relmat["Weighted"], relmat["StorageFormat"]) == (
        False,
        True,
        "Full",
    )
    (nodes,) = relmat["NodeFiles"]
    rows = read_table(job.out / nodes.removeprefix("bids::"))
    matrix = next(job.out.rglob("*_relmat.tsv"))
    assert [row["name"] for row in rows] == list(read_table(matrix)[0])
    assert not list(job.out.rglob("*desc-synthetic_statmap.json"))
    shared = json.loads(
        (job.out / "sub-01" / "sub-01_task-rest_statmap.json").read_text()
    )
    assert shared["SkullStripped"] is True
    labels = [contrast.label for contrast in job.bundle.contrasts]
    assert list(shared["ContrastDetails"]) == labels
    assert "GeneratedBy" not in shared


def test_run_that_is_too_short_is_left_out(job, capsys):
    add_rest(job.bids, entities="run-1", seed=1)
    add_rest(job.bids, entities="run-2", seed=2, frames=40)
    assert job.run("--min-minutes", "8") == 0
    err = capsys.readouterr().err
    assert "sub-01_task-rest_run-2 was left out." in err
    assert "6.7 of 6.7 minutes left (40 of 40 frames of 10 s)" in err
    assert "1 left out, with too little left" in err
    sidecar = read_sidecar(job.out, "sub-01_task-rest")
    assert [run["Run"] for run in sidecar["Runs"]] == ["sub-01_task-rest_run-1"]
    (name,), (reason,) = (
        sidecar["ExcludedRuns"].keys(),
        sidecar["ExcludedRuns"].values(),
    )
    assert name == "sub-01_task-rest_run-2"
    assert "at least 8 minutes" in reason
    assert not [uri for uri in sidecar["Sources"] if "run-2" in uri]
    assert len(list(job.out.rglob("*_qc.tsv"))) == 1
    alone = job.folder / "alone"
    assert (
        job.run("--combine", "run", "--min-minutes", "8", out=alone) == 1
    )  # the second run alone is too short
    np.testing.assert_array_equal(
        read_map(job.out, "sub-01_task-rest"), read_map(alone, "sub-01_task-rest_run-1")
    )


def test_all_runs_too_short(job, capsys):
    for run in (1, 2):
        add_rest(job.bids, entities=f"run-{run}", seed=run)
    assert job.run("--min-minutes", "11") == 1
    (line,) = [
        line for line in capsys.readouterr().err.splitlines() if "failed: " in line
    ]
    assert "sub-01_task-rest has no run that can be used" in line
    assert "run-1" in line
    assert "run-2" in line


# --- what is written


def test_sidecar(job):
    path = add_rest(job.bids, frames=70, n_non_steady=2)
    words = ("--denoise-strategy", "scrubbing", "--fd-threshold", "0.096")
    assert job.run(*words) == 0
    sidecar = read_sidecar(job.out, "sub-01_task-rest")
    assert sidecar["Synthetic"] is True
    assert sidecar["NotForScience"] is True
    assert sidecar["ModelNotice"] == "random weights, for tests"
    assert (sidecar["ModelName"], sidecar["ModelVersion"]) == ("tiny", "0")
    assert sidecar["ModelSHA256"] == job.bundle.identity
    assert sidecar["ModelKind"] == "attention-unet"
    assert sidecar["Units"] == job.bundle.card.part.units
    assert "2 x 2 x 2 mm" in sidecar["Resolution"]
    assert sidecar["DenoiseStrategy"] == "scrubbing"
    (run,) = sidecar["Runs"]
    assert run["RepetitionTime"] == 10.0
    assert (run["Confounds"]["FdThreshold"], run["Confounds"]["DummyScans"]) == (
        0.096,
        "auto",
    )
    assert run["Confounds"]["DroppedNonSteady"] == 2
    cleaning = run["Cleaning"]
    assert cleaning["Frames"] == 70
    assert cleaning["FramesKept"] + cleaning["FramesCensored"] == 70
    assert run["ResidualDegreesOfFreedom"] == cleaning["FramesKept"] - cleaning["Rank"]
    assert (run["VoxelSize"], sidecar["ModelTraining"]["VoxelSize"]) == (2.0, 2.0)
    assert 2 < cleaning["FramesCensored"] < 20
    assert sidecar["SecondsOfRest"] == 10 * cleaning["FramesKept"]
    assert {"trans_x", "csf_power2", "cosine00"} <= set(cleaning["Columns"])
    resolved = [resolve(job.out, uri) for uri in sidecar["Sources"]]
    assert resolved[0] == path
    assert [p.name.partition("desc-")[2] for p in resolved] == [
        "preproc_bold.nii.gz",
        "brain_mask.nii.gz",
        "confounds_timeseries.tsv",
    ]


def resolve(out: Path, uri: str) -> Path:
    """Follow a BIDS URI by the DatasetLinks of the output."""
    kind, dataset, relative = uri.split(":")
    assert kind == "bids"
    link = json.loads((out / "dataset_description.json").read_text())["DatasetLinks"][
        dataset
    ]
    if (
        link == f"urn:dataset:{dataset}"
    ):  # in another place of this machine: only the logs know it
        way = json.loads((out / "logs/input.json").read_text())[dataset]
    else:
        assert not urlsplit(link).scheme
        way = unquote(link)
    path = (out / way / relative).resolve()
    assert path.is_file(), uri
    return path


def test_sources_resolve_in_odd_folders(tmp_path):
    job = TinyJob(tmp_path / "a b#c%20ü")
    assert job.run() == 0
    elsewhere = tmp_path / "elsewhere" / "deep"
    assert job.run(out=elsewhere) == 0
    for out in (job.out, elsewhere):
        assert all(
            resolve(out, uri)
            for uri in read_sidecar(out, "sub-01_task-rest")["Sources"]
        )


def test_nifti_header(job):
    add_rest(job.bids, frames=90)
    assert job.run() == 0
    grid = tiny_masks()[1]
    for path in job.out.rglob("*_statmap.nii.gz"):
        image = nib.load(path)
        header = image.header
        assert header.get_data_dtype() == np.float32
        assert (int(header["sform_code"]), int(header["qform_code"])) == (4, 4)
        np.testing.assert_allclose(image.affine, TINY_AFFINE)
        np.testing.assert_allclose(header.get_qform(), TINY_AFFINE, atol=1e-5)
        assert header.get_zooms() == (2, 2, 2)
        assert header.get_xyzt_units()[0] == "mm"
        assert header.get_intent()[0] == "z score"
        assert bytes(header["descrip"]).startswith(b"bids_dtg ")
        data = image.get_fdata()
        assert np.isfinite(data).all()
        assert not data[~grid].any()
        assert data[grid].any()


def test_quality_row(job):
    add_rest(job.bids, session="A", entities="run-1", n_non_steady=3)
    assert job.run() == 0
    (path,) = job.out.rglob("*_qc.tsv")
    assert path.name == "sub-01_ses-A_task-rest_run-1_qc.tsv"
    (row,) = read_table(path)
    assert (row["participant_id"], row["session_id"], row["run_id"]) == (
        "sub-01",
        "ses-A",
        "1",
    )
    assert (row["frames"], row["frames_kept"], row["minutes_kept"]) == (
        "60",
        "57",
        "9.5",
    )
    assert (row["repetition_time"], row["n_segments"], row["coverage"]) == (
        "10.0",
        "1",
        "1.0",
    )
    assert 0 < float(row["fd_mean"]) < 0.1
    assert 10 < float(row["tsnr_median"]) < 30
    assert -1 <= float(row["connectome_reliability"]) <= 1
    assert float(row["seconds_processing"]) > 0
    dictionary = json.loads(path.with_suffix(".json").read_text())
    assert dictionary.keys() == row.keys()
    assert all(entry["Description"] for entry in dictionary.values())
    table = read_table(job.out / "participants.tsv")
    assert [row["participant_id"] for row in table] == ["sub-01"]


def test_connectome_reads_back(job):
    add_rest(job.bids, n_non_steady=2)
    assert job.run("--write", "maps", "connectome", "--denoise-strategy", "none") == 0
    func = job.out / "sub-01" / "func"
    bundle, grid = job.bundle, tiny_masks()[1]
    name = "sub-01_task-rest_space-MNI152NLin6Asym_res-2_stat-pearsoncorrelation_desc-connectome"
    image = nib.load(func / f"{name}_statmap.nii.gz")
    assert image.shape == (*grid.shape, 4)
    assert image.header.get_intent()[0] == "correlation"
    # The plain way: regress the maps on each frame, correlate with each voxel.
    bold = tiny_bold()[bundle.brain.mask][:, 2:].T.astype(np.float64)
    maps = bundle.roi_maps.astype(np.float64)
    maps -= maps.mean(axis=1, keepdims=True)
    series = (bold - bold.mean(axis=0)) @ np.linalg.pinv(maps)
    grey = tiny_bold()[grid][:, 2:].astype(np.float64)
    expected = np.corrcoef(series.T, grey)[:4, 4:]
    np.testing.assert_allclose(image.get_fdata()[grid].T, expected, atol=1e-5)
    assert not image.get_fdata()[~grid].any()

    matrix = (
        func
        / "sub-01_task-rest_seg-tiny_stat-pearsoncorrelation_desc-connectome_relmat.tsv"
    )
    r = np.array([[float(x) for x in row.values()] for row in read_table(matrix)])
    np.testing.assert_allclose(r, np.corrcoef(series.T), atol=1e-5)
    rows = read_table(func / "sub-01_task-rest_desc-rois_timeseries.tsv")
    assert list(rows[0]) == ["roi01", "roi02", "roi03", "roi04"]
    table = np.array([[float(x) for x in row.values()] for row in rows])
    assert table.shape == series.shape
    agreement = [np.corrcoef(table[:, roi], series[:, roi])[0, 1] for roi in range(4)]
    assert min(agreement) > 0.99999


def test_odd_but_legal_labels(tmp_path):
    job = TinyJob(tmp_path, ())
    add_rest(
        job.bids,
        "A+b01",
        session="2",
        task="restOpen",
        entities="acq-1+2_rec-x_run-007",
    )
    assert job.run() == 0
    assert titles(job.out) == {"sub-A+b01_ses-2_task-restOpen_acq-1+2_rec-x"}
    (record,) = (job.out / "logs" / "complete").iterdir()
    assert record.name == "sub-A+b01_ses-2_task-restOpen_acq-1+2_rec-x.json"


# --- readers of the dataset


def pybids_layout(out: Path):
    """Index an output folder with pybids and the configuration that the program ships."""
    from bids import BIDSLayout

    shipped = files("bids_dtg") / "files" / "pybids_config.json"
    config = ["bids", "derivatives", str(shipped)]
    return BIDSLayout(out, validate=False, is_derivative=True, config=config)


# What pybids calls entities whose keys it spells otherwise.
PYBIDS = {
    "sub": "subject",
    "ses": "session",
    "seg": "segmentation",
    "tpl": "template",
    "acq": "acquisition",
    "rec": "reconstruction",
    "ce": "ceagent",
    "dir": "direction",
}


def test_pybids_finds_each_file_by_its_entities(job):
    for session in "AB":
        add_rest(job.bids, session=session, entities="acq-x_run-1", frames=90)
    assert job.run("--write", "maps", "connectome") == 0
    layout = pybids_layout(job.out)
    entities = {Path(file.path): file.get_entities() for file in layout.get()}
    written = {*job.out.glob("sub-*/**/func/*.*"), *job.out.glob("tpl-*/*.*")}
    assert written <= entities.keys()
    assert {path.name.partition("_")[0].partition("-")[0] for path in written} >= {
        "sub"
    }
    for path in written:
        name = parse_name(path.name)
        wanted = {PYBIDS.get(key, key): label for key, label in name.entities}
        wanted |= {"suffix": name.suffix, "extension": name.extension}
        shown = {key: str(entities[path].get(key)) for key in wanted}
        assert shown == wanted, path.name


def test_pybids_reads_sidecars_and_builds_names(job):
    for session in "AB":
        add_rest(job.bids, session=session, frames=90)
    assert job.run() == 0
    layout = pybids_layout(job.out)
    assert len(layout.get_contrasts()) == 3
    query = {"subject": "01", "session": "B", "contrast": "languageMath", "stat": "z"}
    (file,) = layout.get(**query, desc="synthetic", extension=".nii.gz")
    title = "sub-01_ses-B_task-rest"
    assert (
        Path(file.path).name
        == NAME.format(title, "languageMath", "synthetic") + ".nii.gz"
    )
    metadata = file.get_metadata()
    # What all maps share, and what is this one's own.
    assert metadata == read_inherited(Path(file.path))
    assert metadata["Synthetic"] is True
    assert metadata["ContrastDetails"]["languageMath"]["Contrast"] == "MATH"
    built = layout.build_path(file.get_entities(), validate=False)
    assert Path(built) == Path(file.path)


def test_pybids_knows_atlases_densities_and_templates(tmp_path):
    """Files of other options: their names alone."""
    for name in (
        "sub-01_task-rest_space-A_atlas-S_seg-7n_scale-400_stat-z_desc-regions_statmap.tsv",
        "sub-01_task-rest_hemi-L_space-fsLR_den-32k_stat-z_desc-synthetic_statmap.func.gii",
        "sub-01_task-rest_space-fsLR_den-91k_stat-z_desc-synthetic_statmap.dscalar.nii",
    ):
        place = tmp_path / "sub-01" / "func" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.touch()
    shared = "tpl-A_res-2_contrast-C_stat-z_desc-halfwidth_statmap.nii.gz"
    (tmp_path / "tpl-A").mkdir()
    (tmp_path / "tpl-A" / shared).touch()
    describe_dataset(tmp_path)
    layout = pybids_layout(tmp_path)
    (table,) = layout.get(atlas="S", segmentation="7n", scale="400", desc="regions")
    (left_mesh,) = layout.get(hemi="L", den="32k")
    (dense,) = layout.get(den="91k", extension=".dscalar.nii")
    (template,) = layout.get(template="A", contrast="C")
    for file in (table, left_mesh, dense, template):
        built = layout.build_path(file.get_entities(), validate=False)
        assert Path(built) == Path(file.path)
