"""The quality table: written and read back."""

from __future__ import annotations

import numpy as np
import pytest

from bids_dtg.files.derivatives import DerivativeDataset
from bids_dtg.files.text import read_json
from bids_dtg.participants.quality import parcel_metrics
from bids_dtg.report.presentation import Presentation, write_panel_files
from bids_dtg.report.quality import PARCELS, number, read_quality
from bids_dtg.settings import WORKFLOWS
from bids_dtg.workflows import find_workflow

ENTITIES = {"sub": "01", "task": "rest"}


@pytest.fixture(params=WORKFLOWS)
def presentation(request) -> Presentation:
    return find_workflow(request.param).presentation()


def test_a_row_comes_back_as_it_was_written(presentation, tmp_path):
    output = DerivativeDataset(tmp_path)
    names = [column.name for column in presentation.quality_columns]
    figures = {name: position for position, name in enumerate(names)} | {
        "session_id": None
    }
    file = presentation.quality_file(figures)
    table, meanings = write_panel_files([file], ENTITIES, output)
    row = read_quality(output.path(table))
    assert list(row) == names == list(read_json(output.path(meanings)))
    assert row["session_id"] == "n/a"
    assert {name: number(row[name]) for name in names} == figures


def test_no_table_has_no_figures(tmp_path):
    assert read_quality(tmp_path / "qc.tsv") == {}


def test_columns_are_named_once_and_what_is_flagged_has_a_limit(presentation):
    columns = (*presentation.quality_columns, *presentation.group_columns)
    assert len({column.name for column in columns}) == len(columns)
    for column in columns:
        assert column.unusual is not None or not column.flag
        assert column.heading or not column.summary


def test_figures_leave_out_parcels_without_a_series():
    series = np.random.default_rng(0).standard_normal((5, 100))
    whole = np.corrcoef(series[:4])
    series[4] = np.nan
    figures = parcel_metrics(
        np.array([1, 1, 0.9, 0.8, 0.1]), np.corrcoef(series), np.ones(100)
    )
    assert (figures["parcels"], figures["parcels_kept"]) == (5, 4)
    assert figures["coverage"] == pytest.approx(0.76)
    assert figures["parcel_coverage_min"] == 0.1
    assert figures["fc_mean"] == pytest.approx(
        whole[np.triu_indices(4, 1)].mean(), abs=1e-4
    )
    assert figures["std_dvars_mean"] == 1
    assert [*figures] == [column.name for column in PARCELS]
