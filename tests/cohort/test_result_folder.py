"""The folder of an analysis: tables, maps, and files that an earlier run has left."""

import contextlib
import json

import numpy as np
import pytest
from maps_cohort import TinyCohort
from maps_job import read_table

from bids_dtg.bundles.bundle import Bundle
from bids_dtg.bundles.card import ModelCard
from bids_dtg.cohort.result_folder import ResultFolder
from bids_dtg.cohort.result_table import ResultTable
from bids_dtg.errors import OutputError, SettingsError
from bids_dtg.files.columns import Column
from bids_dtg.files.derivatives import DerivativeDataset
from bids_dtg.files.paths import PathNames
from bids_dtg.files.text import write_text
from bids_dtg.report.figures import pictures
from bids_dtg.report.page import Page, Section
from bids_dtg.report.participant import UNFINISHED, write_index
from bids_dtg.settings import Settings

PNG = b"\x89PNG\r\n\x1a\nrest"
COLUMNS = (
    Column("contrast", "Label"),
    Column("r", "Correlation"),
    Column("found", "Whether it is"),
)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    cohort = TinyCohort(tmp_path_factory.mktemp("cohort"), ("01",))
    assert cohort.run() == 0
    return cohort


def results(cohort, *can_write, **options):
    settings = cohort.settings().replace(
        analysis_level="group", analysis="stats", **options
    )
    return ResultFolder.of(settings, DerivativeDataset(cohort.out), *can_write)


MINE = (
    "old",
    "kept",
    "half",
    "new",
    "below/it/*",
)  # what the analyses of these tests can write


def write(folder, *names):
    with folder.writing():
        for name in names:
            write_text(folder.add(name), name)


def files(folder):
    return sorted(
        p.relative_to(folder.path).as_posix()
        for p in folder.path.rglob("*")
        if p.is_file()
    )


def test_tables_and_page_are_written_with_their_words(cohort):
    folder = results(cohort)
    with folder.writing():
        rows = [{"contrast": "a", "r": 1 / 3, "found": np.bool_(True)}, {"r": np.nan}]
        table = folder.table(
            "desc-some_scores", ResultTable(COLUMNS, rows, "One row per contrast")
        )
        section = Section("Brains", figures=[pictures("Views", {"one <b>": PNG})])
        folder.page(Page("Title", "Lead.", [], [section]))
    assert table == cohort.out / "group/stats/desc-some_scores.tsv"
    assert read_table(table) == [
        {"contrast": "a", "r": "0.3333333", "found": "true"},
        {"contrast": "n/a", "r": "n/a", "found": "n/a"},
    ]
    words = json.loads(table.with_suffix(".json").read_text())
    assert words["Description"] == "One row per contrast"
    assert words["r"] == {"Description": "Correlation"}
    page = (folder.path / "statistics_report.html").read_text()
    assert "data:image/png;base64," in page
    assert "one &lt;b&gt;" in page
    index = (cohort.out / "index.html").read_text()
    assert "group/stats/statistics_report.html" in index
    assert str(cohort.folder) not in (folder.path / "configuration.toml").read_text()


def test_what_an_earlier_call_has_left_goes_and_what_people_put_there_stays(cohort):
    folder = results(cohort, *MINE, "arrays/", model_name="mine")
    assert folder.path.name == "stats-mine"
    write(folder, "old.tsv", "below/it/old.tsv", "kept.tsv")
    here = ("notes.txt", "mine/old.tsv", "arrays/some.npz")
    staying = [*(folder.path / name for name in here), cohort.out / "participants.tsv"]
    staying += [cohort.folder / "outside/old.tsv", cohort.out / "group/another/old.tsv"]
    for path in staying:
        write_text(path, "own")
    (folder.path / "linked").symlink_to(cohort.folder / "outside")
    write(results(cohort, *MINE, "arrays/", model_name="mine"), "kept.tsv")
    assert [path for path in staying if not path.exists()] == []
    assert files(folder) == sorted(["configuration.toml", "kept.tsv", *here])
    assert not (folder.path / "below").exists()


def test_without_reports_there_is_no_page_and_an_earlier_one_goes(cohort):
    index = cohort.out / "index.html"
    for no_reports in (False, True):
        folder = results(cohort, model_name="pages", no_reports=no_reports)
        with folder.writing():
            folder.page(Page("Title", "Lead.", [], []))
            write_text(folder.add("some.tsv"), "some")
        assert ("statistics_report.html" in files(folder)) is not no_reports
        # The index that is there lists the pages that are there.
        assert ("group/stats-pages/" in index.read_text()) is not no_reports
    index.unlink()
    write(results(cohort, model_name="pages", no_reports=True), "some.tsv")
    assert not index.exists()


def test_a_call_that_fails_before_it_writes_leaves_whole_results_whole(cohort):
    folder = results(cohort, model_name="whole")
    with folder.writing():
        folder.page(Page("Title", "Lead.", [], []))
    before = files(folder)
    with (
        pytest.raises(RuntimeError, match="broken"),
        results(cohort, model_name="whole").writing(),
    ):
        raise RuntimeError("broken")
    assert files(folder) == before


@pytest.mark.slow
def test_a_call_that_is_cut_off_marks_the_folder_and_the_next_one_cleans_up(
    cohort, capsys
):
    folder = results(cohort, *MINE, model_name="cut")
    with folder.writing():
        folder.page(Page("Title", "Lead.", [], []))
    (folder.path / "notes.txt").write_text("own")
    cut = results(cohort, *MINE, model_name="cut")
    with contextlib.suppress(RuntimeError), cut.writing():
        write_text(cut.add("half.tsv"), "half")
        raise RuntimeError("cut off")
    # Neither the page nor the options of the earlier call are left among other results.
    assert files(folder) == sorted(["half.tsv", "notes.txt", UNFINISHED])
    write_index(folder.output)
    index = (cohort.out / "index.html").read_text()
    assert "stats-cut <span" in index
    assert "group/stats-cut/" not in index
    capsys.readouterr()
    write(results(cohort, *MINE, model_name="cut"), "new.tsv")
    assert "is unfinished, as an earlier run was interrupted" in capsys.readouterr().err
    assert files(folder) == sorted(["configuration.toml", "new.tsv", "notes.txt"])
    write_index(folder.output)
    assert "stats-cut <span" not in (cohort.out / "index.html").read_text()


@pytest.mark.parametrize("link", ["group", "group/a", "group/a/below"])
def test_what_a_link_leads_to_is_never_written(tmp_path, link):
    settings = Settings.of(
        bids_dir=tmp_path,
        output_dir=tmp_path / "out",
        analysis_level="group",
        analysis="stats",
    )
    folder = ResultFolder(
        settings, DerivativeDataset(tmp_path / "out"), "a", (*MINE, "arrays/")
    )
    target = tmp_path / "elsewhere"
    write_text(target / "a/old.tsv", "own")
    write_text(target / "old.tsv", "own")
    path = tmp_path / "out" / link
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target)
    with pytest.raises(OutputError, match="leads outside") as refused:
        write(folder, "below/new.tsv")
    assert "\n" not in str(refused.value)
    assert sorted(p.name for p in target.rglob("*")) == ["a", "old.tsv", "old.tsv"]


def test_one_call_at_a_time_writes_to_a_folder(cohort):
    with (
        results(cohort, model_name="busy").writing(),
        pytest.raises(SettingsError, match="stats-busy"),
        results(cohort, model_name="busy").writing(),
    ):
        pass


def test_results_of_another_model_are_never_written_over(cohort):
    for identity in ("p", "p", "q"):
        card = ModelCard("a", "1", "linear", None)
        bundle = Bundle(path=cohort.out, card=card, identity=identity * 64)
        settings = cohort.settings().replace(
            analysis_level="group", analysis="evaluate"
        )
        where = (settings, DerivativeDataset(cohort.out), "evaluation", bundle, ())
        refused = pytest.raises(SettingsError, match=r"made with another model")
        with refused if identity == "q" else contextlib.nullcontext():
            write(ResultFolder.for_model(*where, PathNames().plus({})), "one.tsv")
