from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bids_dtg.errors import SettingsError
from bids_dtg.inputs.task.model_file import (
    MOTION_24,
    parse_expression,
    parse_glm_model,
    read_glm_model,
    require_conditions,
)

LEAST = {"task": "nback", "contrasts": {"a": "2back - 0back"}}


def test_a_file_of_two_lines_has_every_default(tmp_path):
    path = tmp_path / "glm.toml"
    path.write_text('task = "task-nback"\ncontrasts = {wm2bk = "2back", d = {"2back" = 1, x = -2}}')
    model = read_glm_model(path)
    assert model.task == "nback"
    assert model.contrasts == {"wm2bk": {"2back": 1.0}, "d": {"2back": 1.0, "x": -2.0}}
    assert (model.hrf, model.noise_model, model.high_pass) == ("spm", "ar1", 1 / 128)
    assert model.confounds == MOTION_24
    assert model.conditions == ("2back", "x")


@pytest.mark.parametrize(
    ("text", "weights"),
    [
        ("a", {"a": 1}),
        ("- a", {"a": -1}),
        ("-a + b", {"a": -1, "b": 1}),
        ("0.5*left hand + .25 * right-hand", {"left hand": 0.5, "right-hand": 0.25}),
        ("2back - 0back", {"2back": 1, "0back": -1}),
    ],
)
def test_expressions_are_sums_of_conditions(text, weights):
    assert parse_expression(text) == weights


names = st.sampled_from(["go", "2back", "0-back", "left hand", "b_2", "7", "x-y"])
amounts = st.integers(1, 99).map(lambda n: n / 4)


@given(st.dictionaries(names, amounts, min_size=1, max_size=4))
def test_expressions_give_back_their_weights(weights):
    text = " + ".join(f"{weight:g}*{name}" for name, weight in weights.items())
    assert parse_expression(text) == weights


@pytest.mark.parametrize("text", ["(a + b)/2", "a - a", "", "2*", "a -  - b"])
def test_other_expressions_are_refused(text):
    with pytest.raises(ValueError, match=r"no condition|twice"):
        parse_expression(text)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"contrast": {}}, "'contrast' is not known. Expected: 'contrasts'"),
        ({"contrasts": {}}, "has no contrasts"),
        ({"task": 3}, "has no task"),
        ({"hrf": "fir"}, "hrf is 'fir'. Expected: one of spm"),
        ({"noise_model": "ar9"}, "one of ar1, ols"),
        ({"high_pass": -1}, "high_pass is -1"),
        ({"confounds": [1]}, "confounds is [1]"),
        ({"ignore": "rest"}, "a list of trial types"),
        ({"contrasts": {"a_b": "x"}}, "the contrast a_b has a label with other signs"),
        ({"contrasts": {"a": {"x": 0}}}, "the contrast a is {'x': 0}"),
        ({"contrasts": {"a": {"x": 10**400}}}, "the contrast a is {'x': 1000"),
        ({"contrasts": {"a": "9e9*x"}}, "the contrast a is '9e9*x'"),
        ({"contrasts": {"a": "10000000*x"}}, "the contrast a is {'x': 10000000.0}"),
        ({"contrasts": {"a": "0*x - y"}}, "the contrast a is {'x': 0.0, 'y': -1.0}"),
        ({"contrasts": {"a" * 101: "x"}}, "up to 100 letters"),
        ({"contrasts": {"a": "(x + y)/2"}}, "the contrast a is '(x + y)/2'"),
    ],
)
def test_what_is_wrong_is_named(change, words):
    with pytest.raises(SettingsError, match=re.escape(words)):
        parse_glm_model(LEAST | change, "glm.toml")


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(SettingsError, match=r"--glm-model .*none.toml"):
        read_glm_model(tmp_path / "none.toml")


def test_conditions_that_nobody_has_are_refused_with_the_nearest():
    model = parse_glm_model(LEAST, "glm.toml")
    require_conditions(model, {"2back": 3, "0back": 1}, "glm.toml")
    with pytest.raises(SettingsError, match=r"no run .* trial of 0back .*Expected: '0-back', or"):
        require_conditions(model, {"2back": 3, "0-back": 1, "cue": 1}, "glm.toml")
