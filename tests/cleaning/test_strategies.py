"""Strategies equal nilearn's presets; each reads or rightly refuses every real table."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from fmriprep_dataset import add_run, describe_dataset
from nuisance_tables import nuisance_columns, write_aroma, write_nuisance, write_tedana

from bids_dtg.cleaning.confounds import confound_files, load_confounds
from bids_dtg.cleaning.strategies import (
    STRATEGIES,
    Strategy,
    cleaning_text,
    cleaning_words,
    resolve,
)
from bids_dtg.cli.parser import build_parser
from bids_dtg.errors import RunError, SettingsError
from bids_dtg.inputs.run import RestRun
from bids_dtg.inputs.runs import find_runs
from bids_dtg.settings import CleaningOptions, Settings

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts"))
from docs_hooks import strategies_markdown  # noqa: E402


@pytest.fixture
def run(tmp_path) -> RestRun:
    root = describe_dataset(tmp_path / "fmriprep")
    add_run(root)
    (run,) = find_runs(root, "01")
    return run


def place(run: RestRun, source) -> RestRun:
    """Put a table, and the JSON file beside it, where the run's are."""
    shutil.copy(source, run.confounds)
    if source.with_suffix(".json").is_file():
        shutil.copy(source.with_suffix(".json"), run.confounds.with_suffix(".json"))
    return run


COMPCOR = CleaningOptions(denoise_strategy="compcor")
NO_JSON = "has 70 columns of anatomical CompCor, but none that is known"
NO_MOTION = "lacks 24 of 26 .*trans_x, trans_x_der"
NO_AROMA = "has no outputs of ICA-AROMA in"
CONFOUNDS, SERIES = "confounds/{}_desc-confounds_{}.tsv", "timeseries"
LIKE = "fmriprep_like/sub-{0}/func/sub-{0}_task-rest_desc-confounds_timeseries.tsv"
JUNIFER = CONFOUNDS.format("junifer_sub-0001_task-anticipation_acq-seq", "regressors")
OLD = CONFOUNDS.format("neurocaps_b1dbe72_ds000031", SERIES)

# File, frames, and number of columns, or how it is refused, of each of these strategies.
WITH = ("simple", "scrubbing", "compcor", "ica_aroma")
REAL = [
    (JUNIFER, 200, (31, 37, NO_JSON, NO_AROMA)),
    (CONFOUNDS.format("test", "regressors"), 30, (30, 36, 85, NO_AROMA)),
    (
        CONFOUNDS.format("no_nonsteady", "regressors"),
        30,
        (30, 36, "has 126 col.*none that is known", NO_AROMA),
    ),
    (CONFOUNDS.format("test-v21", SERIES), 30, (27, 33, 30, NO_AROMA)),
    (
        OLD,
        34,
        (
            "lacks 26 of 26 .*it has WhiteMatter",
            "lacks 34 of 34",
            "has no columns of",
            "lacks 2 of 2",
        ),
    ),
    (LIKE.format("HAPPYTEST"), 110, (27, 33, 30, NO_AROMA)),
    # Of the last, CompCor is without motion, which a note says.
    (LIKE.format("RAPIDTIDETEST"), 260, (NO_MOTION, "lacks 25 of 34", 11, NO_AROMA)),
]


@pytest.mark.parametrize(
    ("path", "frames", "with_options"), REAL, ids=[path for path, *_ in REAL]
)
def test_every_real_table_is_read_or_refused(run, shared, path, frames, with_options):
    place(run, shared / "data" / "real" / path)
    outcomes = {
        **dict.fromkeys(STRATEGIES),
        **dict(zip(WITH, with_options, strict=True)),
        "none": 0,
    }
    for strategy, outcome in outcomes.items():
        options = CleaningOptions(denoise_strategy=strategy)
        if outcome is None:  # of a new row: read, or refused as a run, with any number
            with suppress(RunError):
                load_confounds(run, options, n_frames=frames)
        elif isinstance(outcome, str):
            with pytest.raises(RunError, match=outcome) as told:
                load_confounds(run, options, n_frames=frames)
            assert "\n" not in str(told.value)
        else:
            confounds = load_confounds(run, options, n_frames=frames)
            assert confounds.values.shape == (frames, outcome), strategy
            assert np.isfinite(confounds.values).all()


def test_files_that_results_depend_on_are_listed(run, tmp_path):
    assert confound_files(run, CleaningOptions(denoise_strategy="compcor")) == ()
    write_nuisance(run.confounds, nuisance_columns(80, 2.0))
    custom_table = tmp_path / "own" / run.confounds.name
    custom_table.parent.mkdir()
    custom_table.write_text("a\n")
    options = CleaningOptions(
        denoise_strategy="compcor", custom_confounds=custom_table.parent
    )
    files = confound_files(run, options)
    assert files == (run.confounds.with_suffix(".json"), custom_table)
    options = CleaningOptions(denoise_strategy="simple", custom_confounds=tmp_path)
    assert confound_files(run, options) == ()


@pytest.mark.parametrize(
    ("settings", "input_type", "strategy"),
    [
        ({}, "auto", "simple"),
        ({}, "fmriprep", "simple"),
        ({}, "xcpd", "none"),
        ({}, "hcp", "none"),
        ({}, "ukb", "none"),
        ({"denoise_strategy": "none"}, "fmriprep", "none"),
        ({"denoise_strategy": "scrubbing", "fd_threshold": 0.4}, "xcpd", "scrubbing"),
    ],
)
def test_auto_follows_the_input_type(settings, input_type, strategy):
    options = CleaningOptions(**settings)
    assert resolve(options, input_type) == replace(options, denoise_strategy=strategy)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"denoise_strategy": "other"},
            "--denoise-strategy is 'other'. Expected: one of simple, s",
        ),
        (
            {"fd_threshold": 0.2},
            "--fd-threshold was given with --denoise-strategy simple. "
            "Expected: --denoise-strategy scrubbing, which censors frames.",
        ),
        (
            {"gsr": True, "denoise_strategy": "none"},
            "--gsr was given with --denoise-strategy none. "
            "Expected: a strategy that reads the confounds table, e.g. simple.",
        ),
    ],
)
def test_options_that_do_not_go_with_a_strategy_are_refused(settings, message):
    with pytest.raises(SettingsError, match=re.escape(message)):
        resolve(CleaningOptions(**settings), "fmriprep")


TOY = Strategy(
    "toy",
    "6 motion parameters and their derivatives",
    parts=("motion", "scrub"),
    arguments={"motion": "derivatives"},
)


@pytest.fixture
def toy() -> Iterator[Strategy]:
    """Add a row to the table."""
    STRATEGIES[TOY.name] = TOY
    yield TOY
    del STRATEGIES[TOY.name]


@pytest.mark.usefixtures("toy")
@pytest.mark.parametrize("row", [*STRATEGIES.values(), TOY], ids=lambda row: row.name)
def test_a_row_is_all_that_a_strategy_needs(run, row):
    """Parser, TOML file, checks, reading, sidecar, docs and methods text follow from the row."""
    parser = build_parser()
    words = ["/data", "/out", "participant", "--denoise-strategy", row.name]
    settings = vars(parser.parse_args(words))
    options = resolve(Settings.of(**settings).cleaning, "fmriprep")
    write_nuisance(run.confounds, nuisance_columns(80, 2.0))
    write_aroma(run.bold.parent, run.title, np.ones((80, 2)), np.array([True, False]))
    write_tedana(run.bold.parent, run.title, np.ones((80, 2)), ("rejected", "accepted"))
    confounds = load_confounds(run, options, n_frames=80)
    assert bool(confounds.names) == row.reads_table
    assert confounds.decisions["strategy"] == row.name
    assert (
        ("fd_threshold" in confounds.decisions)
        == (confounds.dropped["fd"] > 0)
        == row.censors
    )
    assert set(row.parts) <= {*cleaning_words()["parts"], "scrub"}
    text = cleaning_text(options)
    for part in set(row.parts) & {*cleaning_words()["parts"]}:
        words = cleaning_words()["parts"][part][
            row.nilearn_arguments(options).get(part, "always")
        ]
        assert words.lower() in text.lower()
    assert f"| `{row.name}` | {row.removes} | " in strategies_markdown()


# --- the methods text


@pytest.mark.parametrize(
    ("strategy", "choice", "present", "absent"),
    [
        ("simple", {}, "24 motion parameters, the mean signals", "squares"),
        ("simple", {}, "fMRIPrep's discrete cosines (high-pass; where", "global"),
        ("simple", {"gsr": True}, "the global signal and", "its derivative"),
        ("36p", {}, "global signal with its deriv", "gave"),
        ("scrubbing", {"fd_threshold": 0.2}, "above 0.2 mm", "0.5 mm"),
        ("compcor", {}, "CompCor (Behzadi et al., 2007)", "mean signals"),
        ("ica_aroma", {}, "was removed first (non-aggressively)", "motion parameters"),
        ("none", {}, "No confounds were removed.", "nilearn"),
        (
            "none",
            {"custom_confounds": Path("own")},
            "Further confounds of our own",
            "no conf",
        ),
        ("simple", {"high_pass": 0.01}, "cosines of up to 0.01 Hz", "fMRIPrep's"),
        ("compcor", {"high_pass": 0.01}, "fMRIPrep's discrete cosines", "above"),
        ("none", {"low_pass": 0.1}, "above 0.1 Hz were removed", "(high-pass)"),
        ("none", {"smoothing_fwhm": 6.0}, "Gaussian of 6 mm full width", "nilearn"),
    ],
)
def test_text_follows_the_choice(strategy, choice, present, absent):
    text = cleaning_text(CleaningOptions(denoise_strategy=strategy, **choice))
    assert present in text
    assert absent not in text


def test_every_choice_makes_sentences_whose_works_have_references():
    for strategy, gsr, limit in product(STRATEGIES, (False, True), (None, 0.1)):
        options = CleaningOptions(denoise_strategy=strategy, gsr=gsr, low_pass=limit)
        text = cleaning_text(options)
        assert text.endswith(".")
        begun = [sentence for sentence in text.split(". ") if sentence[0].islower()]
        assert all(sentence.startswith("fMRIPrep's") for sentence in begun)
        for name in re.findall(r"\((\w+) et al\.", text) + re.findall(
            r"\((\w+), \d{4}\)", text
        ):
            assert name in cleaning_words()["references"]
