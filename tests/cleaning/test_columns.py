"""Columns, first frames and censored frames equal nilearn's, for every strategy and option."""

from __future__ import annotations

import json
import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from fmriprep_dataset import (
    add_run,
    confound_columns,
    describe_dataset,
    write_confounds,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nilearn.interfaces.fmriprep import load_confounds as by_nilearn
from nuisance_tables import nuisance_columns

from bids_dtg.cleaning.confounds import load_confounds
from bids_dtg.cleaning.strategies import STRATEGIES, find_strategy
from bids_dtg.errors import RunError
from bids_dtg.inputs.run import RestRun
from bids_dtg.inputs.runs import find_runs
from bids_dtg.settings import CleaningOptions

# Components of ICA-AROMA and tedana are in files of their own.
READING = [row for row in STRATEGIES.values() if row.reads_table and row.noise is None]


def legal_options() -> list[CleaningOptions]:
    """Each strategy with each choice of the options that change its columns."""
    combinations = []
    for row in READING:
        plain = CleaningOptions(denoise_strategy=row.name)
        combinations += [
            plain,
            replace(plain, high_pass=0.01),
            replace(plain, gsr=True),
        ]
    return combinations


def told(options: CleaningOptions) -> str:
    parts = ["gsr"] * options.gsr
    return "-".join(
        [options.denoise_strategy, *parts, *(["high_pass"] * bool(options.high_pass))]
    )


OPTIONS = {told(options): options for options in legal_options()}
EACH = pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> RestRun:
    """Return a run whose confounds table each test writes anew."""
    root = describe_dataset(tmp_path_factory.mktemp("columns") / "fmriprep")
    add_run(root)
    (run,) = find_runs(root, "01")
    return run


@pytest.mark.slow
@pytest.mark.timeout(60)
def test_a_table_of_very_many_columns_is_read(run):
    columns, options = confound_columns(40), CleaningOptions(denoise_strategy="simple")
    give(run, (columns, {}))
    names = load_confounds(run, options, n_frames=40).names
    many = {f"column{number}": ["0"] * 40 for number in range(100_000)}
    give(run, ({**columns, **many}, {}))
    assert load_confounds(run, options, n_frames=40).names == names


def give(run: RestRun, table: tuple[dict[str, list[str]], dict[str, str]]) -> None:
    """Write a run's confounds table, and the masks of components beside it."""
    assert run.confounds is not None
    cells, masks = table
    write_confounds(run.confounds, cells)
    metadata = {
        name: {"Mask": mask, "Method": "aCompCor"} for name, mask in masks.items()
    }
    run.confounds.with_suffix(".json").write_text(json.dumps(metadata))


def expected(
    run: RestRun, options: CleaningOptions, parts: set[str] | None = None
) -> Any:
    """Columns and frames by nilearn itself, with the arguments of the table of strategies."""
    arguments = find_strategy(options.denoise_strategy).nilearn_arguments(options)
    if parts is not None:
        arguments["strategy"] = tuple(
            part for part in arguments["strategy"] if part in parts
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # all frames are censored, for example
        return by_nilearn(str(run.bold), **arguments)


def require_equal(
    run: RestRun, options: CleaningOptions, parts: set[str] | None = None
) -> None:
    columns, kept_frames = expected(run, options, parts)
    ours = load_confounds(run, options, n_frames=len(columns))
    assert list(ours.names) == list(columns.columns)
    theirs = columns.to_numpy(np.float64)
    np.testing.assert_allclose(ours.values, theirs, rtol=1e-12, atol=0, equal_nan=True)
    keep = np.full(len(columns), kept_frames is None)
    if kept_frames is not None:
        keep[kept_frames] = True
    np.testing.assert_array_equal(ours.keep, keep)


def text(values: np.ndarray) -> list[str]:
    return ["n/a" if np.isnan(value) else repr(float(value)) for value in values]


def full_table(frames: int, seed: int) -> tuple[dict[str, list[str]], dict[str, str]]:
    """All columns that strategies take, and the masks of components."""
    table = nuisance_columns(frames, 2.0, seed)
    rng = np.random.default_rng(seed)
    table |= {
        f"aroma_motion_{number:02d}": rng.standard_normal(frames)
        for number in (1, 2, 17)
    }
    order = list(table)
    rng.shuffle(order)  # nilearn sorts what it takes
    masks = {"a": "combined", "c": "CSF", "w": "WM"}
    return {name: text(table[name]) for name in order}, {
        name: masks[name[0]]
        for name in order
        if "_comp_cor_" in name and name[0] in masks
    }


@EACH
def test_a_table_with_all_columns(run, options):
    give(run, full_table(60, 3))
    require_equal(run, options)


# What a cell may hold: numbers as programs write them, and what is not known.
NUMBERS = st.one_of(
    st.floats(-1e6, 1e6).map(repr),
    st.floats(-1e6, 1e6).map("{:.6f}".format),
    st.floats(-1e-3, 1e-3).map("{:.17g}".format),
    st.floats(1e-30, 1e30).map("{:E}".format),
    st.integers(-1000, 1000).map(str),
    st.sampled_from(
        ["0", "-0.0", "1.", ".5", "+2", "1e3", " 7", "0.10000000000000000000001"]
    ),
)
GAPS = st.sampled_from(["n/a", "", "NaN", "nan", "N/A"])
# nilearn adds flags up: of negative ones, a frame's may cancel out.
FLAGS = st.one_of(st.sampled_from(["0", "1", "1.0", " 1", "2", "1e-3"]), GAPS)


@st.composite
def tables(draw: st.DrawFn) -> tuple[dict[str, list[str]], dict[str, str]]:
    """A table with gaps and odd numbers in cells, high displacements, and some columns missing."""
    frames = draw(st.integers(6, 24))
    cells, masks = full_table(frames, draw(st.integers(0, 3)))
    for name in draw(st.lists(st.sampled_from(sorted(cells)), max_size=6)):
        cell = FLAGS if name.startswith("non_steady") else NUMBERS
        cells[name][draw(st.integers(0, frames - 1))] = draw(cell)
    for name in ("framewise_displacement", "std_dvars"):
        for frame in draw(st.lists(st.integers(0, frames - 1), max_size=6)):
            cells[name][frame] = draw(st.sampled_from(["9", "0.5", "1.5", "0.5000001"]))
    for name in draw(st.lists(st.sampled_from(sorted(cells)), max_size=6)):
        cells[name][draw(st.integers(0, 1))] = draw(GAPS)
    for beginning in draw(
        st.sets(st.sampled_from(["cosine", "non_steady", "t_comp", "c_comp"]))
    ):
        cells = {
            name: column
            for name, column in cells.items()
            if not name.startswith(beginning)
        }
    for name in draw(st.lists(st.sampled_from(sorted(masks)), max_size=3)):
        masks[name] = draw(st.sampled_from(["combined", "WM", "CSF"]))
    return cells, {name: mask for name, mask in masks.items() if name in cells}


@pytest.mark.slow
@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(tables(), st.sampled_from([*OPTIONS]), st.floats(0, 2))
def test_tables_of_all_kinds(run, table, name, fd_mm):
    options = OPTIONS[name]
    if find_strategy(options.denoise_strategy).censors:
        options = replace(options, fd_threshold=fd_mm)
    give(run, table)
    try:
        require_equal(run, options)
    except RunError as err:
        # nilearn fails with CompCor without components.
        if "none that is known to be" not in str(err):
            raise


@pytest.mark.parametrize(
    "absent", ["cosine", "aroma_motion", "a_comp_cor", "csf", "std_dvars"]
)
@pytest.mark.parametrize("options", [OPTIONS[row.name] for row in READING], ids=told)
def test_what_a_table_lacks_is_refused_if_nilearn_refuses_it(run, options, absent):
    """But for the noise components of ICA-AROMA, which have files of their own."""
    cells, masks = full_table(30, 1)
    cells = {
        name: column for name, column in cells.items() if not name.startswith(absent)
    }
    masks = {name: mask for name, mask in masks.items() if name in cells}
    give(run, (cells, masks))
    try:
        expected(run, options)
    except (ValueError, KeyError):
        with pytest.raises(RunError, match=r"lacks|has no columns of anatom"):
            load_confounds(run, options, n_frames=30)
    else:
        require_equal(run, options)


def test_compcor_without_motion_is_nilearn_s_without_that_part(run):
    cells, masks = full_table(30, 1)
    cells = {
        k: column for k, column in cells.items() if not k.startswith(("trans", "rot"))
    }
    give(run, (cells, masks))
    require_equal(run, OPTIONS["compcor"], {"high_pass", "compcor"})
    confounds = load_confounds(run, OPTIONS["compcor"], n_frames=30)
    note = "The confounds table has no motion columns: compcor removed none."
    assert confounds.notes[-1] == note


def test_components_of_other_masks_only_are_refused(run):
    cells, masks = full_table(30, 1)
    give(run, (cells, dict.fromkeys(masks, "WM")))
    with pytest.raises(ValueError, match="compcor"):
        expected(run, OPTIONS["compcor"])
    with pytest.raises(RunError, match="has 6 columns of anatomical CompCor, but none"):
        load_confounds(run, OPTIONS["compcor"], n_frames=30)
