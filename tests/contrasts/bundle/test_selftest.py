"""The self-check of models of contrast maps: sound models pass, and each fault is found."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from maps_bundle import write_tiny_bundle
from maps_kinds import CONTRASTS, PLACES, ROIS, TENSORS, write_tiny_kind

from bids_dtg.bundles.kinds import Check
from bids_dtg.bundles.overview import selftest_lines
from bids_dtg.contrasts.bundle.bundle import load_bundle
from bids_dtg.contrasts.bundle.kinds import KINDS, LINEAR
from bids_dtg.contrasts.bundle.selftest import check_maps_model
from bids_dtg.contrasts.contrast import Contrast
from bids_dtg.contrasts.linear import LinearModel, tensors_of

pytestmark = pytest.mark.slow

EAGER, FINITE = "prepared and eager agree", "values are finite"
SIGN = "differences have their sign"


def contrasts(*names: str) -> tuple[Contrast, ...]:
    labels = (name.replace("-", "Vs") for name in names)
    return tuple(
        Contrast(index, label, "T", name, "")
        for index, (label, name) in enumerate(zip(labels, names, strict=True))
    )


def linear_bundle(folder, rows, **facts):
    """Write a linear model whose coefficients, (contrasts, rois), are given."""
    places = (
        np.zeros((ROIS, PLACES.number), np.float32),
        np.ones((ROIS, PLACES.number), np.float32),
    )
    tensors = tensors_of(LinearModel((ROIS,), *places, np.asarray(rows, np.float32)))
    return write_tiny_kind(folder, LINEAR.name, tensors, **facts)


def found(bundle) -> dict[str, Check]:
    return {check.name: check for check in check_maps_model(bundle)}


@pytest.fixture
def rows() -> np.ndarray:
    return np.random.default_rng(5).normal(size=(CONTRASTS, ROIS))


def test_the_demo_model_passes():
    checks = found(load_bundle("demo"))
    assert all(check.passed for check in checks.values()), checks
    assert checks[SIGN].words.startswith("12 of 12")


def test_a_model_of_parcels_passes_what_applies_to_it():
    checks = found(load_bundle("hcp-glasser"))
    assert {name for name, check in checks.items() if check.passed} >= {FINITE}
    assert not [name for name, check in checks.items() if check.passed is False]


@pytest.mark.parametrize("kind", sorted(TENSORS))
def test_each_kind_is_checked(kind, tmp_path):
    bundle = write_tiny_kind(tmp_path / "model", kind, TENSORS[kind]())
    checks = found(bundle)
    has_network = KINDS[kind].tunes
    assert checks[EAGER].passed is (True if has_network else None)
    assert checks[FINITE].passed
    assert selftest_lines(bundle, list(checks.values()))[-1].startswith(
        "tiny 0: self-check "
    )


def test_without_torch_the_comparison_is_skipped_by_name(tmp_path, monkeypatch):
    bundle = write_tiny_bundle(tmp_path / "model")
    monkeypatch.setitem(sys.modules, "torch", None)
    check = found(bundle)[EAGER]
    assert (check.passed, check.words) == (None, "torch is not installed")


def test_a_torch_that_computes_something_else_is_found(tmp_path, monkeypatch):
    bundle = write_tiny_bundle(tmp_path / "model")
    functional = pytest.importorskip("torch").nn.functional
    monkeypatch.setattr(functional, "max_pool3d", functional.avg_pool3d)
    check = found(bundle)[EAGER]
    assert check.passed is False
    assert "(limit 1e-05)" in check.words


def test_values_that_are_not_finite_are_found(tmp_path, rows):
    rows[1] = 3e38
    checks = found(linear_bundle(tmp_path / "model", rows))
    assert checks[FINITE].passed is False
    assert checks.keys() == {EAGER, FINITE}


@pytest.mark.parametrize(
    ("names", "last", "passed"),
    [
        (("A", "B", "A-B"), (1, -1), True),
        (("A", "B", "A-B"), (-1, 1), False),
        (("A", "B", "C"), (1, 1), None),
    ],
)
def test_differences_have_the_sign_of_their_parts(tmp_path, rows, names, last, passed):
    rows[2] = last[0] * rows[0] + last[1] * rows[1]
    check = found(linear_bundle(tmp_path / "model", rows, contrasts=contrasts(*names)))[
        SIGN
    ]
    assert check.passed is passed
    assert ("; not " in check.words) == (passed is False)
