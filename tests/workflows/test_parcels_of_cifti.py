"""Parcels of CIFTI through the program: from series and maps of parcels to a model and its maps."""

from __future__ import annotations

import re
from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
import scipy.sparse
from bids_check import require_every_file_seen, require_listed_names, validate
from cifti_people import (
    CONTRASTS,
    LABELS,
    ParcelCohort,
    paired_axis,
    parcels_axis,
    save_maps,
    save_series,
    tiny_maps,
    write_parcel_bundle,
)
from maps_job import read_table, tree
from split_options import sets
from study_folders import write_outliers

from bids_dtg.cli.run import main as program
from bids_dtg.cohort import features
from bids_dtg.cohort import maps as cohort_maps
from bids_dtg.contrasts.bundle.bundle import load_bundle
from bids_dtg.contrasts.contrast import hcp_contrasts
from bids_dtg.contrasts.participant.measure import measure
from bids_dtg.contrasts.participant.model import predict_maps
from bids_dtg.imaging.surfaces import cifti
from bids_dtg.inputs.runs import find_runs
from bids_dtg.inputs.space_choice import SpaceRule

pytestmark = pytest.mark.slow

TRAIN = ("--architecture", "linear", *sets(LABELS, 0, 0.25))
SPACE = ("--space", "fsLR:seg-Tiny")


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    people = ParcelCohort(tmp_path_factory.mktemp("parcels"))
    other_axis = parcels_axis(9)
    people.add("01", 70, other_axis, seg="space-fsLR_seg-Other_den-91k")
    assert people.analyse("train", *SPACE, *TRAIN) == 0
    people.model = people.out / "group/model-own/bundle"
    people.out = people.folder / "maps"
    assert people.run("--participant-label", "01", "--write", "maps", "connectome") == 0
    return people


def test_a_model_is_trained_on_series_and_maps_of_parcels(cohort):
    bundle = load_bundle(cohort.model)
    assert bundle.places.axis == cohort.axis
    assert bundle.card.part.parcels
    assert [contrast.label for contrast in bundle.contrasts] == list(CONTRASTS)
    rows = read_table(cohort.folder / "out/group/model-own/desc-models_scores.tsv")
    assert {row["model"] for row in rows} >= {"model", "group average"}


def test_its_maps_are_files_of_parcels(cohort):
    (path,) = cohort.out.rglob("*desc-synthetic_statmap.pscalar.nii")
    assert (
        path.name
        == "sub-01_task-rest_space-fsLR_seg-Tiny_stat-z_desc-synthetic_statmap.pscalar.nii"
    )
    image = nib.load(path)
    assert image.header.get_axis(1) == cohort.axis
    assert list(image.header.get_axis(0).name) == list(CONTRASTS)
    bundle, rule = (
        load_bundle(cohort.model),
        SpaceRule(model="fsLR parcels", requested=SPACE[1]),
    )
    (run,) = find_runs(cohort.bids, "01", rule=rule, input_type="xcpd")
    assert "seg-Tiny" in run.bold.name
    wanted = predict_maps(
        measure(run, bundle, input_type="xcpd"), bundle, device="cpu", threads=1
    )
    np.testing.assert_allclose(image.get_fdata(), wanted.values, rtol=0, atol=1e-6)
    (connectome,) = cohort.out.rglob("*desc-connectome_statmap.pscalar.nii")
    names = list(nib.load(connectome).header.get_axis(0).name)
    assert names == [
        f"roi{number:02d}" for number in range(1, 6)
    ]  # half of 12 parcels, less one


def test_parcels_that_xcpd_interpolated_are_left_out(cohort, tmp_path):
    people, connectomes = ParcelCohort(tmp_path, ()), []
    flags, bundle = np.arange(60) % 5 == 0, load_bundle(cohort.model)
    for frames in (np.ones(60, bool), ~flags):
        path = people.add("01", 3)
        save_series(
            path, nib.load(path).get_fdata(dtype=np.float32)[frames], people.axis
        )
        write_outliers(path, flags.astype(int))
        rule = SpaceRule(model="fsLR parcels", requested=SPACE[1])
        (run,) = find_runs(people.bids, "01", rule=rule, input_type="xcpd")
        connectomes.append(measure(run, bundle))
    assert connectomes[0].frames == 48
    np.testing.assert_allclose(connectomes[0].r, connectomes[1].r, rtol=0, atol=1e-6)


def test_a_second_call_does_nothing_and_the_group_page_has_the_run(cohort, capsys):
    before = tree(cohort.out, but=("logs", "group"))
    assert cohort.run("--participant-label", "01", "--write", "maps", "connectome") == 0
    assert "1 already complete" in capsys.readouterr().err
    assert tree(cohort.out, but=("logs", "group")) == before
    assert program([str(cohort.bids), str(cohort.out), "group"]) == 0
    (mean,) = cohort.out.glob("group/*_desc-groupMean_statmap.pscalar.nii")
    (persons_map,) = cohort.out.glob("sub-01/**/*_desc-synthetic_statmap.pscalar.nii")
    np.testing.assert_array_equal(
        nib.load(mean).get_fdata(), nib.load(persons_map).get_fdata()
    )
    assert not [
        *cohort.out.glob("group/*_desc-groupSd_statmap.*")
    ]  # of a single person


@pytest.mark.parametrize(
    ("words", "fact"),
    [
        (["--smoothing-fwhm", "4"], "--smoothing-fwhm was given with own"),
        (["--write", "regions"], "--write regions was given without an atlas"),
        (["--output-spaces", "MNI152NLin2009cAsym"], "the parcel AMYGDALA has voxels"),
    ],
)
def test_what_parcels_cannot_give_is_refused_at_once(cohort, words, fact, capsys):
    assert cohort.run(*words) == 2
    assert fact in capsys.readouterr().err


def test_parcels_of_series_are_painted_on_request_alone(cohort, tmp_path):
    assert not [*cohort.out.rglob("*.nii.gz")]
    out, usual_output = tmp_path / "out", cohort.out
    cohort.out = out
    words = ("--output-spaces", "MNI152NLin6Asym", "T1w")
    assert cohort.run("--participant-label", "01", *words) == 0
    cohort.out = usual_output
    volumes = [*out.rglob("sub-01*_space-MNI152NLin6Asym_seg-Tiny_res-2_*.nii.gz")]
    assert len(volumes) == len(CONTRASTS)
    (path,) = out.rglob("*desc-synthetic_statmap.pscalar.nii")
    amygdala = cohort.axis.voxels[11]
    values = nib.load(path).get_fdata(dtype=np.float32)
    for volume in volumes:
        image = nib.load(volume)
        points = nib.affines.apply_affine(cohort.axis.affine, amygdala)
        index = nib.affines.apply_affine(np.linalg.inv(image.affine), points)
        at_voxels = image.get_fdata()[tuple(np.rint(index).astype(int).T)]
        row = [name in volume.name for name in CONTRASTS].index(True)
        np.testing.assert_array_equal(at_voxels, values[row, 11])
    assert not [*out.rglob("*_space-T1w_*")]


@pytest.mark.parametrize("words", [SPACE, ("--model", "OWN")])
def test_a_network_of_parcels_is_refused(cohort, words, capsys):
    filled = [cohort.model if word == "OWN" else word for word in words]
    words = ("--architecture", "attention-unet", *filled, "--model-name", "none")
    assert cohort.analyse("train", *words) == 2
    assert "needs voxels on a grid, and this model has none" in capsys.readouterr().err


def test_statistics_read_measured_maps_of_parcels_by_name(
    tmp_path, capsys, monkeypatch
):
    """One file has its parcels in another order, and another one lacks the first parcel."""
    people = ParcelCohort(tmp_path, LABELS[:5])
    hcp = {contrast.label: contrast for contrast in hcp_contrasts()}
    contrasts = tuple(replace(hcp[label], index=n) for n, label in enumerate(CONTRASTS))
    people.model = write_parcel_bundle(tmp_path / "model", contrasts=contrasts).path
    assert people.run() == 0
    maps, names = tiny_maps(people.labels, 12), list(people.axis.name)
    first, second = (
        next(people.statmaps.glob(f"sub-{label}/*{CONTRASTS[1]}*"))
        for label in ("01", "02")
    )
    save_maps(first, maps["01"][1:, ::-1], people.axis[::-1])
    save_maps(second, maps["02"][1:, 1:], people.axis[1:])
    names_read, reader = list[str](), cifti.read_parcel_maps

    def count(path):
        names_read.append(path.name)
        return reader(path)

    for module in (features, cohort_maps):
        monkeypatch.setattr(module, "read_parcel_maps", count)
    assert people.analyse("stats") == 0
    # Once to learn the names of the first people's parcels, and once for all contrasts.
    assert [names_read.count(name) for name in dict.fromkeys(names_read)] == [
        3,
        2,
        2,
        2,
        2,
    ]
    rows = read_table(people.out / "group/stats/desc-meanMeasured_tests.tsv")
    expected = np.mean([maps[label] for label in people.labels], axis=0)
    shown = [(contrast, name) for contrast in CONTRASTS for name in names]
    effects = {(row["contrast"], row["name"]): float(row["effect"]) for row in rows}
    assert list(effects) == [test for test in shown if test != (CONTRASTS[1], names[0])]
    for (contrast, name), effect in effects.items():
        wanted = expected[CONTRASTS.index(contrast), names.index(name)]
        assert effect == pytest.approx(wanted, rel=1e-5)
    first.rename(first.with_name(first.name.replace("_contrast", "_run-1_contrast")))
    second.with_name(second.name.replace("_contrast", "_run-1_contrast")).touch()
    capsys.readouterr()
    assert people.analyse("stats") == 2
    line = (
        f"the measured z maps are over different numbers of runs.*: {CONTRASTS[1]} has"
    )
    assert re.search(line, capsys.readouterr().err)


def test_left_minus_right_of_paired_parcels_is_scored_and_tested(tmp_path, capsys):
    """From a training in folds to people's tables, and to statistics over them."""
    people = ParcelCohort(tmp_path, axis=paired_axis())
    table = people.bids / "participants.tsv"
    rows = [f"sub-{label}\t{20 + 3 * n}" for n, label in enumerate(LABELS)]
    table.write_text("\n".join(["participant_id\tage", *rows]) + "\n")
    words = ("--architecture", "linear")
    assert people.analyse("train", *SPACE, *words) == 0
    folder = people.out / "group/model-own"
    scores = read_table(folder / "desc-asymmetry_scores.tsv")
    assert [row["contrast"] for row in scores] == list(CONTRASTS)
    assert {row["people"] for row in scores} == {"8"}
    bundle = load_bundle(folder / "bundle")
    assert list(bundle.predicted_sides) == list(CONTRASTS)
    assert bundle.asymmetry_widths.shape == (2, 21)
    people.model, people.out = bundle.path, tmp_path / "maps"
    assert people.run() == 0
    assert people.analyse("stats", "--phenotype", "age") == 0
    (tests,) = people.out.glob("group/stats/desc-*Asymmetry_tests.tsv")
    tested = read_table(tests)
    names = [*bundle.homologues.names, "index"]
    assert [row["name"] for row in tested] == names * len(CONTRASTS)
    without_names = ParcelCohort(tmp_path / "others")
    assert without_names.analyse("train", *SPACE, *words) == 0
    log = capsys.readouterr().err
    assert "left minus right is not scored: no parcels are named" in log
    assert not [*without_names.out.rglob("desc-asymmetry_scores.tsv")]


def test_series_that_are_all_damaged_give_no_parcels(tmp_path, capsys):
    people = ParcelCohort(tmp_path, ("01",))
    people.add("01", 0).write_bytes(b"")
    assert people.analyse("train", *SPACE) == 2
    assert "nobody in" in capsys.readouterr().err


def test_a_plan_names_the_person_of_any_error_and_plans_the_others(
    cohort, tmp_path, capsys, monkeypatch
):
    """Of a library that fails at a series of eleven parcels with what nobody expects."""
    cohort.add("03", 2, cohort.axis[:11])
    real = scipy.sparse.csr_array

    def array(matrix, shape):
        assert shape[1] == 12
        return real(matrix, shape=shape)

    monkeypatch.setattr(scipy.sparse, "csr_array", array)
    words = ["--participant-label", "02", "03", "--dry-run"]
    assert cohort.run(*words, out=tmp_path / "out") == 1
    told = "".join(capsys.readouterr())
    assert "2 participants, 1 would fail" in told
    assert re.search("sub-03_task-rest.*: would fail: internal error: Assert", told)
    cohort.add("03", 2)


def test_the_page_shows_parcels_on_both_hemispheres_and_the_validator_finds_no_error(
    cohort, tmp_path
):
    cohort.reports = True
    assert cohort.run("--participant-label", "01", "--reports-only") == 0
    page = (cohort.out / "sub-01.html").read_text()
    assert "Lateral and medial views of the left hemisphere" in page
    assert "The run was read as parcels" in page
    figures = {
        path.name for path in (cohort.out / "sub-01/figures").glob("*_contrast-*.webp")
    }
    # A second picture would show deviations beyond the interval, and here are none.
    cards = page.count("beyond the interval</strong>")
    assert page.count("nothing beyond the interval</strong>") == cards > 0
    assert figures == {f"sub-01_task-rest_contrast-{name}.webp" for name in CONTRASTS}
    assert validate(cohort.out).errors == []
    assert program([str(cohort.bids), str(cohort.out), "group"]) == 0
    require_listed_names(cohort.out, "parcels", tmp_path)
    assert require_every_file_seen(cohort.out, tmp_path) > 20
