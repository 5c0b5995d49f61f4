"""The folder of an analysis over people: tables, maps, and what an earlier call has left."""

import json

import nibabel as nib
import numpy as np
import pytest
from tiny_cohort import TinyCohort
from tiny_job import read_table

from bids_dtg.cohort.results import GroupResults
from bids_dtg.errors import SettingsError
from bids_dtg.files.derivatives import DerivativeDataset
from bids_dtg.files.text import write_text
from bids_dtg.imaging.grid import Grid
from bids_dtg.imaging.places import VoxelPlaces
from bids_dtg.report.pages.analysis import AnalysisPageFacts, PageSection, Pictures

PLACES = VoxelPlaces.within(
    Grid((2, 2, 1), np.eye(4), "MNI152NLin6Asym", "2"),
    np.array([[[True], [False]], [[True], [True]]]),
)
PNG = b"\x89PNG\r\n\x1a\nrest"


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    cohort = TinyCohort(tmp_path_factory.mktemp("cohort"), ("01",))
    assert cohort.run() == 0
    return cohort


def results(cohort, **options):
    settings = cohort.settings().replace(analysis_level="group", analysis="stats", **options)
    return GroupResults.of(settings, DerivativeDataset(cohort.out))


def test_tables_maps_and_page_are_written_with_their_words(cohort):
    made = results(cohort)
    with made.begun():
        rows = [{"contrast": "a", "r": 1 / 3, "found": np.bool_(True)}, {"r": np.nan}]
        meanings = {"contrast": "Label", "r": "Correlation", "found": "Whether it is"}
        table = made.table("desc-some_scores", rows, meanings, "A row a contrast")
        entities = {"contrast": "a", "stat": "t", "desc": "mean"}
        path = made.map(entities, np.array([1.5, 2, 3]), PLACES, "A mean", Units="t", N=4)
        section = PageSection("Brains", pictures=[Pictures("Views", {"one <b>": PNG})])
        made.page(AnalysisPageFacts("Title", "Lead.", [], [section]))
    assert table == cohort.out / "group/stats/desc-some_scores.tsv"
    assert read_table(table) == [
        {"contrast": "a", "r": "0.3333333", "found": "true"},
        {"contrast": "n/a", "r": "n/a", "found": "n/a"},
    ]
    words = json.loads(table.with_suffix(".json").read_text())
    assert words["Description"] == "A row a contrast"
    assert words["r"] == {"Description": "Correlation"}
    assert path.name == "space-MNI152NLin6Asym_res-2_contrast-a_stat-t_desc-mean_statmap.nii.gz"
    assert nib.load(path).get_fdata()[PLACES.mask].tolist() == [1.5, 2, 3]
    sidecar = json.loads((path.parent / path.name.replace(".nii.gz", ".json")).read_text())
    assert sidecar == {
        "Description": "A mean",
        "SpatialReference": "MNI152NLin6Asym",
        "Units": "t",
        "N": 4,
    }
    page = (made.path / "statistics_report.html").read_text()
    assert "data:image/png;base64," in page
    assert "one &lt;b&gt;" in page
    index = (cohort.out / "index.html").read_text()
    assert "group/stats/statistics_report.html" in index
    assert str(cohort.folder) not in (made.path / "configuration.toml").read_text()


def test_what_an_earlier_call_has_left_goes_once_the_new_one_is_done(cohort):
    made = results(cohort, model_name="mine")
    assert made.path.name == "stats-mine"
    with made.begun():
        write_text(made.add("old.txt"), "old")
    with pytest.raises(RuntimeError, match="broken"), results(cohort, model_name="mine").begun():
        raise RuntimeError("broken")
    assert (made.path / "old.txt").is_file()
    with results(cohort, model_name="mine").begun():
        pass
    assert sorted(path.name for path in made.path.iterdir()) == ["configuration.toml"]


def test_one_call_at_a_time_writes_to_a_folder(cohort):
    with (
        results(cohort, model_name="busy").begun(),
        pytest.raises(SettingsError, match="stats-busy"),
        results(cohort, model_name="busy").begun(),
    ):
        pass
