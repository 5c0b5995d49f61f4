"""The time between frames: what a sidecar and a header state, alone and against each other."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bids_dtg.errors import RunError
from bids_dtg.imaging.bold import decide_repetition_time

BOLD, SIDECAR = Path("sub-01_bold.nii.gz"), Path("sub-01_bold.json")
PER_SECOND = {"s": 1.0, "ms": 1e3, "us": 1e6}
NOT_STATED = [
    (0.0, "s"),
    (0.0, None),
    (1.0, None),
    (2.0, "Hz"),
    (-2.0, "s"),
    (float("nan"), "ms"),
    (float("inf"), "s"),
]


def words(header: tuple) -> str:
    return f"{header[0]:g} {header[1]}"


times = st.floats(0.05, 20.0)
units = st.sampled_from(list(PER_SECOND))


def decide(
    header: tuple, stated: float | None, root: Path | None = None
) -> tuple[float, tuple[str, ...]]:
    sidecar = None if stated is None else SIDECAR
    return decide_repetition_time(BOLD, header, sidecar, stated, root)


@pytest.mark.slow
@given(seconds=times, unit=units)
def test_header_alone_is_converted_by_its_unit(seconds, unit):
    found, (note,) = decide((seconds * PER_SECOND[unit], unit), None)
    assert found == pytest.approx(seconds, abs=1e-6)
    assert "header's" in note


@given(seconds=times, unit=units, share=st.floats(-0.049, 0.049))
def test_sidecar_wins_within_5_percent(seconds, unit, share):
    header = (seconds * (1 + share) * PER_SECOND[unit], unit)
    found, notes = decide(header, seconds)
    assert found == seconds
    stored = round(header[0] / PER_SECOND[unit], 6)
    assert bool(notes) == (abs(stored - seconds) > 1e-3)


@given(
    seconds=times,
    unit=units,
    factor=st.one_of(st.floats(1e-3, 0.949), st.floats(1.051, 1e4)),
)
def test_other_times_are_refused_with_both_values_and_files(seconds, unit, factor):
    header = (max(seconds * factor, 1e-4) * PER_SECOND[unit], unit)
    with pytest.raises(RunError) as caught:
        decide(header, seconds)
    line = str(caught.value)
    for part in (f"{SIDECAR} states a RepetitionTime of {seconds:g} s", str(BOLD), words(header)):
        assert part in line


# fmriprep 1725 (until March 2022), fmriprep 3216, xcp_d 967, fmripost-aroma 119; NiBabies shares
# the code of the first two.
@pytest.mark.parametrize(
    "made",
    [
        {"GeneratedBy": [{"Name": "fMRIPrep", "Version": "20.2.7"}]},
        {"GeneratedBy": [{"Name": "xcp_d"}, {"Name": "fMRIPrep"}]},
        {"GeneratedBy": [{"Name": "wrapper"}, {"Name": "NiBabies"}]},
        {"GeneratedBy": [{"Name": "fMRIPost-AROMA"}]},
        {"PipelineDescription": {"Name": "fMRIPrep"}},
    ],
    ids=str,
)
def test_headers_that_a_program_wrote_wrong_give_way_to_the_sidecar(tmp_path, made):
    (tmp_path / "dataset_description.json").write_text(json.dumps(made))
    for header, stated in (
        ((1000.0, "s"), 1.0),
        ((float(np.float32(735.0)), "s"), 0.735),
        ((1.0, "s"), 2.0),
        ((1000.0, "ms"), 2.0),
    ):
        found, (note,) = decide(header, stated, tmp_path)
        assert found == stated
        assert f"({stated:g} s) was used; the header has {words(header)}: some releases" in note
    for header in ((3.0, "s"), (1.001, "s"), (1950.0, "s")):
        with pytest.raises(RunError, match="the same time between frames, within 5 %"):
            decide(header, 2.0, tmp_path)


@pytest.mark.parametrize("header", NOT_STATED, ids=str)
def test_nothing_states_it(header):
    with pytest.raises(RunError, match=r"bold\.nii\.gz has no repetition time in its sidecars"):
        decide(header, None)


@given(seconds=times.filter(lambda seconds: seconds != 1), unit=units)
def test_number_without_a_unit_may_be_in_any(seconds, unit):
    value = seconds * PER_SECOND[unit]
    if value != 1:
        assert decide((value, None), seconds) == (seconds, ())


@given(value=st.floats(20.001, 2e4), unit=st.sampled_from(["s", None]))
def test_header_alone_above_20_s_is_refused(value, unit):
    with pytest.raises(RunError, match=r"at most 20.*is it in milliseconds\?"):
        decide((value, unit), None)


@given(stated=st.one_of(st.floats(20.001, 1e9), st.floats(max_value=0.0), st.just(float("nan"))))
def test_sidecar_outside_the_bounds_is_refused(stated):
    with pytest.raises(RunError, match=r"bold\.json: RepetitionTime is .*at most 20"):
        decide((2.0, "s"), stated)
