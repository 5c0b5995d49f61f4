"""Linear models of images with several sets of ROI maps, made from the training people's rest."""

from __future__ import annotations

import json

import nibabel as nib
import numpy as np
import pytest
from linear_by_the_page import ByThePage, connectome_of_rest
from maps_cohort import LABELS, TinyCohort
from maps_job import read_table
from split_options import sets

from bids_dtg.cleaning.strategies import resolve
from bids_dtg.connectome.form import Form
from bids_dtg.contrasts.bundle.bundle import load_bundle
from bids_dtg.contrasts.panels.run import CONNECTOME_FILE as RELMAT
from bids_dtg.contrasts.participant.measure import measure
from bids_dtg.contrasts.participant.request import find_runs
from bids_dtg.contrasts.people import Person
from bids_dtg.files.array_store import ArrayStore
from bids_dtg.files.derivatives import DerivativeDataset
from bids_dtg.files.sidecars import read_inherited
from bids_dtg.participants.run_source import plan_run
from bids_dtg.report.contents import find_participant

SETS = (25, 50, 100)
PEOPLE = tuple(f"{n:02d}" for n in range(1, 13))
NAME = "partial_connectomes_of_whole_runs"
WORDS = ("--architecture", "linear", *sets(PEOPLE, 0, 0.17))

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    return TinyCohort(tmp_path_factory.mktemp("sets"), PEOPLE)


@pytest.fixture(scope="module")
def model(cohort):
    assert cohort.analyse("train", *WORDS) == 0
    return load_bundle(cohort.out / "group/model-own/bundle")


def test_a_bundle_keeps_the_sets_in_16_bits_and_says_how_they_were_made(cohort, model):
    part = model.card.part
    assert part.connectome == Form("partial", SETS)
    card = json.loads((model.path / "model.json").read_text())
    assert card["rois"] == [*SETS]
    assert "maps.nii.gz" not in card["files"]
    assert model.roi_maps.dtype == np.float16
    assert isinstance(model.roi_maps, np.memmap)
    # Maps of the smaller set are combinations of the larger one's.
    assert model.roi_maps.shape == (SETS[-1], model.places.number)
    assert model.combine.shape == (sum(SETS), SETS[-1])
    assert model.rois == sum(SETS)
    set_records = card["record"]["roi_maps"]
    assert [(set_facts["rois"], set_facts["people"]) for set_facts in set_records] == [
        (rois, 10) for rois in SETS
    ]
    store = ArrayStore(cohort.out / "group/cache")
    connectome = store.read(f"sub-01/{NAME}")
    assert (connectome.dtype, connectome.shape) == (
        np.float16,
        (1, sum(SETS), model.places.number),
    )


@pytest.mark.slow
def test_a_participant_has_files_of_each_set(cohort, model, tmp_path):
    words = (
        "--participant-label",
        "01",
        "--model",
        model.path,
        "--write",
        "maps",
        "connectome",
    )
    assert cohort.run(*words, out=tmp_path) == 0
    # The table is of the set nearest to 50, which pages show.
    (table,) = tmp_path.rglob("*_stat-pearsoncorrelation_desc-connectome_relmat.tsv")
    assert "_seg-rois50_" in table.name
    for number in SETS:
        names = [path.name for path in tmp_path.rglob(f"*_seg-rois{number}_*")]
        for ending in (
            "stat-partial_desc-connectome_statmap.nii.gz",
            "desc-rois_timeseries.tsv",
        ):
            assert sum(name.endswith(ending) for name in names) == 1, (ending, names)
        (series,) = tmp_path.rglob(f"*_seg-rois{number}_*timeseries.tsv")
        assert len(read_table(series)) > 0
        assert len(series.read_text().splitlines()[0].split("\t")) == number
    (files,) = find_participant(
        DerivativeDataset(tmp_path), "01", run_kinds=[RELMAT]
    ).runs
    assert "seg-rois50" in files.files[RELMAT].name
    image = next(iter(tmp_path.rglob("*synthetic_statmap.nii.gz")))
    (run,) = read_inherited(image)["Runs"]
    assert run["Cleaning"]["PlacesStandardisedBy"] == "all frames"


def rest_of(cohort, label):
    """Return a person's run, and its rest (frames, places) as the program's design cleans it."""
    settings = cohort.settings(participant_label=(label,))
    (run,) = find_runs(settings)
    cleaning = resolve(settings.cleaning, "fmriprep")
    design = plan_run(run, cohort.bundle.grid.space, cleaning).design
    bold = np.asarray(nib.load(run.bold).dataobj)[cohort.bundle.voxels.mask].T
    return run, design.clean(bold[design.keep].astype(float))


@pytest.mark.slow
def test_maps_are_those_of_the_page(cohort, model):
    """Given ROI maps and sd, against an independent version in float64 from BOLD on."""
    store, maps = (
        ArrayStore(cohort.out / "group/cache"),
        model.place_roi_maps.astype(float),
    )
    rows = read_table(cohort.out / "group/model-own/desc-split_participants.tsv")
    training, test = [], []
    for row in rows:
        label = row["participant_id"].removeprefix("sub-")
        run, rest = rest_of(cohort, label)
        rest_connectome = connectome_of_rest(rest, maps, SETS)
        stored = store.read(f"sub-{label}/{NAME}")  # rounded to 16 bits
        np.testing.assert_allclose(stored[0], rest_connectome, atol=5e-4)
        measured = store.read(f"sub-{label}/target_maps")
        if row["set"] == "training":
            training.append(Person(label, stored, (1.0,), (measured,), minutes=10.0))
        else:
            test.append((run, rest_connectome))
    page, predictor = ByThePage(training, SETS), model.prepare()
    page.gain = model.correction.gains.astype(float)  # rounded in the card
    np.testing.assert_allclose(page.gain, ByThePage(training, SETS).gain, atol=1e-4)
    assert len(test) == 2
    for run, connectome in test:
        wanted = page.deviation(connectome)
        page_maps = page.gain[:, None] * predictor.predict(measure(run, model).r)
        assert np.abs(page_maps - wanted).max() < 1e-4 * wanted.std()


@pytest.mark.slow
def test_few_people_have_the_maps_of_the_model_that_is_named(cohort, tmp_path, capsys):
    words = (
        "--architecture",
        "linear",
        *sets(LABELS, 0, 0),
        "--participant-label",
        *LABELS,
    )
    assert cohort.analyse("train", *words, out=tmp_path) == 0
    line = "ROI maps are taken from tiny: group ICA of 8 training participants would make poor ones"
    assert line in capsys.readouterr().err
    fitted = load_bundle(tmp_path / "group/model-own/bundle")
    np.testing.assert_array_equal(fitted.roi_maps, cohort.bundle.roi_maps)


@pytest.mark.slow
def test_sets_of_a_model_are_taken(cohort, model, tmp_path, capsys):
    """A model that is trained with another one's ROI maps has all of its sets."""
    words = (
        "--architecture",
        "linear",
        "--model",
        model.path,
        "--participant-label",
        *LABELS,
    )
    assert cohort.analyse("train", *words, out=tmp_path) == 0
    fitted = load_bundle(tmp_path / "group/model-own/bundle")
    assert fitted.card.part.connectome == model.card.part.connectome
    np.testing.assert_array_equal(fitted.roi_maps, model.roi_maps)
    np.testing.assert_array_equal(fitted.combine, model.combine)
    assert fitted.card.evaluation["participants"] == len(
        LABELS
    )  # in groups that are left out
    words = (
        "--architecture",
        "attention-unet",
        "--model",
        model.path,
        "--model-name",
        "c",
    )
    assert cohort.analyse("train", *words, out=tmp_path) == 2
    line = (
        "with 175 ROI maps in sets of 25, 50 and 100 was given "
        "for a model of kind attention-unet"
    )
    assert line in capsys.readouterr().err
