"""Settings: round trip through TOML, precedence, hash, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bids_dtg.errors import SettingsError
from bids_dtg.settings import Settings, read_options, to_toml

REQUIRED = {"bids_dir": "/data", "output_dir": "/out", "analysis_level": "participant"}

labels = st.lists(st.text("abc012", min_size=1, max_size=4), max_size=3).map(tuple)
options = st.fixed_dictionaries(
    {},
    optional={
        "participant_label": labels,
        "task_id": labels,
        "model": st.text("abc/ü \"'\\", min_size=1),
        "min_minutes": st.floats(0, 60),
        "dummy_scans": st.sampled_from(["auto", "0", "5"]),
        "combine": st.sampled_from(["run", "session", "participant"]),
        "denoise_strategy": st.just("scrubbing"),
        "no_reports": st.booleans(),
        "atlases": st.just(("HCP", "/atlas.nii.gz")),
        "omp_nthreads": st.integers(1, 64),
        "verbose": st.integers(0, 3),
    },
)


@pytest.mark.slow
@settings(deadline=None)
@given(values=options)
def test_toml_round_trip(values, tmp_path_factory):
    settings = Settings.of(**{**REQUIRED, **values})
    file = tmp_path_factory.mktemp("settings") / "settings.toml"
    file.write_text(to_toml(settings), encoding="utf-8")
    again = Settings.of(**read_options(file))
    assert again == settings


def test_command_line_wins_over_file(tmp_path):
    file = tmp_path / "config.toml"
    file.write_text('denoise_strategy = "none"\n[cleaning]\nmin_minutes = 7\n')
    settings = Settings.of(**{**REQUIRED, **read_options(file), "min_minutes": 2.0})
    assert (settings.cleaning.min_minutes, settings.cleaning.denoise_strategy) == (
        2.0,
        "none",
    )


def test_what_makes_results_anew_follows_results_and_nothing_else():
    base = Settings.of(**REQUIRED)
    same = base.replace(
        output_dir=Path("/elsewhere"),
        omp_nthreads=2,
        verbose=2,
        participant_label=("01",),
    )
    assert same.result_options == base.result_options
    for change in ({"min_minutes": 5.0}, {"combine": "run"}, {"smoothing_fwhm": 6.0}):
        assert base.replace(**change).result_options != base.result_options


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"fd_threshold": 0.0, "denoise_strategy": "scrubbing"},
            "--fd-threshold is 0.0",
        ),
        (
            {"fd_threshold": "nan", "denoise_strategy": "scrubbing"},
            "--fd-threshold is nan",
        ),
        ({"dummy_scans": "-1"}, "--dummy-scans is '-1'"),
        ({"min_minutes": "many"}, "--min-minutes is 'many'. Expected: a number"),
        ({"min_minutes": "inf"}, "--min-minutes is inf"),
        ({"omp_nthreads": 0}, "--omp-nthreads is 0"),
        ({"device": "tpu"}, "--device is 'tpu'"),
        (
            {"combine": "all"},
            "combine is 'all'. Expected: one of run, session, participant",
        ),
        ({"participant_label": "01"}, "--participant-label is '01'. Expected: a list"),
        ({"epochs": 10**30}, f"--epochs is {10**30}. Expected: 1 to 999,999,999"),
        (
            {"reports_only": True, "no_reports": True},
            "--reports-only and --no-reports were given",
        ),
        (
            {"verify": True, "reports_only": True},
            "--verify and --reports-only were given",
        ),
        ({"verify": True, "dry_run": True}, "--verify and --dry-run were given"),
        (
            {"array_key": ["rest=bold"]},
            "--array-key was given. Expected: --input-arrays",
        ),
        (
            {"array_key": ["rest=b"], "structural_connectivity": "x"},
            "--array-key is 'rest=b'",
        ),
        ({"model_name": "../evil"}, "--model-name or --name is '../evil'"),
        *(
            ({"space": space}, "--space is ")
            for space in ("", "a b", "MNI:2", "../x", "a:res-")
        ),
    ],
)
def test_wrong_values_are_named(values, message):
    with pytest.raises(SettingsError, match=message.replace(".", r"\.")):
        Settings.of(**{**REQUIRED, **values})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "[cleaning]\nmin_minute = 3",
            "no option 'min_minute'.*did you mean min_minutes",
        ),
        ("min_minute = 3", "no option 'min_minute'.*did you mean min_minutes"),
        ("[cleaning", "cannot be read as TOML"),
        ("[cleaning]\nmin_minutes = true", r"config\.toml: min_minutes is True"),
        (
            "[resources]\nomp_nthreads = 1.9",
            "omp_nthreads is 1.9. Expected: a whole number",
        ),
        ('[cleaning]\ngsr = "yes"', "gsr is 'yes'. Expected: true or"),
    ],
)
def test_wrong_files_are_named(text, message, tmp_path):
    file = tmp_path / "config.toml"
    file.write_text(text)
    with pytest.raises(SettingsError, match=message):
        read_options(file)


def test_a_value_that_chooses_a_row_is_one_of_the_table(tmp_path):
    choices, file = {"denoise_strategy": ("auto", "mine")}, tmp_path / "config.toml"
    file.write_text('[cleaning]\ndenoise_strategy = "other"\n')
    with pytest.raises(
        SettingsError, match=r"toml: denoise_strategy is 'other'.*: one of auto, m"
    ):
        read_options(file, choices)


@pytest.mark.parametrize(
    "address",
    [
        "tcp://bobby:s3cret@node01:8786",
        "tls://node01:8786?token=s3cret",
        "bobby@node01",
    ],
)
def test_an_address_with_a_secret_is_refused_and_not_shown(address):
    with pytest.raises(SettingsError, match="--scheduler is ") as caught:
        Settings.of(**REQUIRED, scheduler=address)
    assert "s3cret" not in str(caught.value)
    assert "bobby" not in str(caught.value)
