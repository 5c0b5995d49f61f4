"""Reports: made during processing, from the output alone, never at the cost of maps."""

from __future__ import annotations

import re
import shutil
import sys

import psutil
import pytest
from maps_job import TinyJob, add_rest, tree

from bids_dtg.files.derivatives import DerivativeDataset
from bids_dtg.files.provenance import all_failures
from bids_dtg.participants.reports import Reports
from bids_dtg.report.inclusion import FILE as INCLUSION

pytestmark = pytest.mark.slow


@pytest.fixture
def job(tmp_path) -> TinyJob:
    job_without_people = TinyJob(tmp_path, ())
    job_without_people.reports = True
    return job_without_people


@pytest.fixture(scope="module")
def mapped(tmp_path_factory) -> TinyJob:
    """Return a job whose maps are there, without reports."""
    finished = TinyJob(tmp_path_factory.mktemp("mapped"))
    assert finished.run() == 0
    return finished


def text_of(job: TinyJob, name: str) -> str:
    return (job.out / name).read_text()


def report_processes() -> list[psutil.Process]:
    """Return the processes that make reports for this one."""
    children = psutil.Process().children()
    return [process for process in children if "bids_dtg.report" in process.cmdline()]


def links(page: str) -> set[str]:
    return set(re.findall(r'(?:src|href)="([^"#]+)"', page)) - {"data:,"}


def test_a_report_and_the_index_are_made(job, capsys):
    add_rest(job.bids, frames=90, n_non_steady=3)
    assert job.run() == 0
    assert "warning" not in capsys.readouterr().err
    page = text_of(job, "sub-01.html")
    for name in links(page) - {"index.html"}:
        assert (job.out / name).exists(), name
    for heading in ("Registration", "Motion", "Coverage", "Connectome", "Methods"):
        assert heading in page
    contrasts = len(job.bundle.contrasts)
    assert page.count('data-map="') == contrasts + min(contrasts, 5)
    assert 'href="sub-01.html"' in text_of(job, "index.html")
    figures = job.out / "sub-01/figures"
    assert len(list(figures.glob("*_volumes.js"))) == 1


def test_they_can_be_made_anew_from_the_output_alone(job, capsys):
    add_rest(job.bids)
    assert job.run() == 0
    wanted = tree(job.out)
    shutil.rmtree(job.bids)
    shutil.rmtree(job.model)
    job.bids.mkdir()
    for path in (*job.out.glob("*.html"), *job.out.glob("sub-01/figures/*")):
        path.unlink()
    assert job.run("--reports-only") == 0
    assert "1 report made" in capsys.readouterr().err
    files = tree(job.out)
    pages = {
        name for name in wanted if name.endswith(".html")
    }  # they tell when they were made
    assert {k: v for k, v in files.items() if k not in pages} == {
        k: v for k, v in wanted.items() if k not in pages
    }
    assert pages <= set(files)


def test_reports_of_some(job, capsys):
    for label in ("01", "02"):
        add_rest(job.bids, label)
    job.reports = False
    assert job.run() == 0
    assert not list(job.out.glob("*.html"))
    job.reports = True
    (job.out / INCLUSION).write_bytes(b"\xff\xfe\x00")
    next(job.out.glob("sub-02/func/*carpet*")).unlink()
    assert job.run("--reports-only", "--participant-label", "02") == 0
    assert [path.name for path in job.out.glob("sub-*.html")] == ["sub-02.html"]
    assert "Some figures are missing" in text_of(job, "sub-02.html")
    assert job.run("--reports-only", "--participant-label", "07") == 2
    err = capsys.readouterr().err
    assert "07" in err
    assert "01, 02 (2 participants there)" in err


def test_what_failed_is_in_the_report_until_it_is_made_good(job, capsys):
    add_rest(job.bids, entities="run-1")
    short = add_rest(job.bids, session="A", frames=6)
    assert job.run() == 1
    assert capsys.readouterr().err.endswith(f"; all pages: {job.out / 'index.html'}\n")
    assert "1.0 of 1.0 minutes" in text_of(job, "sub-01.html")
    dataset = DerivativeDataset(job.out)
    assert [failure.participant for failure in all_failures(dataset)] == ["01"]
    shutil.rmtree(short.parent.parent)
    add_rest(job.bids, session="A", seed=2)
    assert job.run() == 0
    assert all_failures(dataset) == ()
    assert "1.0 of 1.0 minutes" not in text_of(job, "sub-01.html")


def test_no_old_report_lies_beside_new_maps(job):
    for label in ("01", "02"):
        add_rest(job.bids, label)
    assert job.run() == 0
    old = text_of(job, "sub-01.html")
    job.reports = False
    assert job.run("--gsr", "--participant-label", "01") == 0
    assert not (job.out / "sub-01.html").exists()
    assert not (job.out / "sub-01/figures").exists()
    assert (job.out / "sub-02.html").is_file()  # of maps that are still there
    index = text_of(job, "index.html")
    assert 'href="sub-01.html"' not in index
    assert 'href="sub-02.html"' in index
    job.reports = True
    assert (
        job.run("--gsr", "--participant-label", "01") == 0
    )  # maps are complete, the page is not
    assert "the global signal" in text_of(job, "sub-01.html")
    assert "the global signal" not in old


def test_a_failing_report_is_a_warning_and_the_next_is_made(job, capsys):
    for label in ("01", "02"):
        add_rest(job.bids, label)
    job.reports = False
    assert job.run() == 0
    job.reports = True
    broken = next(
        (job.out / "sub-01/func").glob("*languageMath_*synthetic_statmap.nii.gz")
    )
    broken.write_bytes(broken.read_bytes()[:200])
    assert job.run("--reports-only") == 1
    error = capsys.readouterr().err
    assert "sub-01: warning: no report:" in error
    assert broken.name in error
    assert (job.out / "sub-02.html").is_file()


def test_pages_that_cannot_be_made_are_counted_last(job, capsys, monkeypatch):
    for label in ("01", "02"):
        add_rest(job.bids, label)
    (job.out / "index.html" / "of somebody else").mkdir(parents=True)
    with monkeypatch.context() as patch:
        patch.setattr(
            sys, "executable", "/nowhere/python"
        )  # of the process that makes pages
        for words in ([], ["--reports-only"]):
            assert job.run(*words) == 1
            *_, line = capsys.readouterr().err.splitlines()
            assert "2 reports and the index page could not be made" in line
            assert str(job.out) not in line
    assert len([*job.out.glob("sub-0?/func/*synthetic_statmap.nii.gz")]) == 2 * 3
    shutil.rmtree(job.out / "index.html")
    assert job.run() == 0  # the same command makes what is missing
    assert (job.out / "sub-01.html").is_file()


def test_a_stop_does_not_wait_for_reports(tmp_path):
    reports = Reports(DerivativeDataset(tmp_path), wanted=True, note=print)

    def stopped() -> None:
        with reports:
            for number in range(50):
                reports.request(f"{number:02d}")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert not report_processes()
    assert not (tmp_path / "index.html").exists()
