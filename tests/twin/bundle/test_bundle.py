"""Bundles of digital twins: what is written is loaded, and what is damaged is refused."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from twin_bundle import tiny_fitted_twin, write_tiny_twin
from twin_runs import a_run, answered_by

from bids_dtg.errors import BundleError
from bids_dtg.twin.bold import predict_bold
from bids_dtg.twin.bundle.bundle import TwinBundle
from bids_dtg.twin.recipe import ARCHITECTURES
from bids_dtg.twin.trial_series import stack_people


@pytest.fixture
def bundle(tmp_path) -> TwinBundle:
    return write_tiny_twin(tmp_path / "tiny")


def seen_by(fitted, people=3):
    """Return segments of people who perform each task."""
    runs = [a_run(np.arange(2.0, 40.0, 3.0), task=task) for task in fitted.tasks.tasks]
    everybody = [[answered_by(run, seed) for run in runs] for seed in range(people)]
    return stack_people(everybody, tasks=fitted.tasks)


@pytest.mark.slow
@pytest.mark.parametrize("tasks", [("stroop",), ("faces", "stroop")])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_what_is_written_is_loaded_and_performs_the_same(tmp_path, architecture, tasks):
    fitted = tiny_fitted_twin(architecture, tasks=tasks)
    written = write_tiny_twin(tmp_path / "tiny", fitted)
    bundle = TwinBundle.load(tmp_path / "tiny")
    assert (bundle.identity, bundle.part.outputs[0]) == (
        written.identity,
        str(len(tasks)),
    )
    back = bundle.fitted()
    assert not back.twin.training
    assert (back.architecture, back.recipe, back.tasks) == (
        fitted.architecture,
        fitted.recipe,
        fitted.tasks,
    )
    for name, tensor in fitted.twin.state_dict().items():
        torch.testing.assert_close(back.twin.state_dict()[name], tensor, rtol=0, atol=0)
    connectomes, segments = (
        np.random.default_rng(1).normal(size=(3, 6)),
        seen_by(fitted),
    )
    performed, expected = (f.perform(connectomes, segments) for f in (back, fitted))
    np.testing.assert_array_equal(performed, expected)
    if architecture == "lowrank":
        group, same = (f.perform_group(segments) for f in (back, fitted))
        np.testing.assert_array_equal(group, same)
    assert all(tensor.requires_grad for tensor in back.twin.parameters())


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_bold_comes_back(tmp_path, architecture):
    """Of three regions, one has no signal, connectomes predict another; a condition is unknown."""
    fitted, rng = tiny_fitted_twin(architecture, bold=True), np.random.default_rng(0)
    ridges = fitted.bold
    assert ridges is not None
    ridges.responses[:, -1] = np.nan
    write_tiny_twin(tmp_path / "tiny", fitted)
    bundle = TwinBundle.load(tmp_path / "tiny")
    assert (bundle.part.bold_regions, bundle.part.bold_open) == (3, 1)
    back = bundle.fitted()
    assert back.bold is not None
    for name, values in vars(ridges).items():
        np.testing.assert_array_equal(getattr(back.bold, name), values)
    edges, segments = rng.normal(size=(3, 6)), seen_by(fitted)
    assert fitted.perform(edges, segments).shape == segments.action.shape
    predicted, expected = (
        predict_bold(ridges, of.twin, edges, segments)[0][0].values
        for of in (back, fitted)
    )
    np.testing.assert_array_equal(predicted, expected)
    assert np.isfinite(predicted[-9:]).any(axis=0).tolist() == [True, False, True]


def test_arrays_of_bold_that_ridges_do_not_have_are_refused(tmp_path):
    """Bundles of earlier programs have weights of networks' states."""
    bundle = write_tiny_twin(tmp_path / "tiny", tiny_fitted_twin(bold=True))
    bold_arrays = {**bundle.bold_arrays, "weights": np.zeros((5, 3))}
    earlier = replace(bundle, bold_arrays=bold_arrays)
    with pytest.raises(
        BundleError, match=r"fitted\.safetensors .* make the bundle again"
    ):
        earlier.fitted()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"architecture": "hypernetwork"}, r"weights\.safetensors: .*missing"),
        ({"edges": 7}, "edges is 7. Expected: 6, the pairs of 4 regions"),
        (
            {"tasks": [{"name": "stroop"}] * 2},
            r"tasks is .*100 tasks of different names",
        ),
        ({"tasks": [{"name": "stroop"}]}, r"tasks\[0\]: buttons is missing"),
    ],
)
def test_a_card_of_others_is_refused(bundle, changed, message):
    card = json.loads((bundle.path / "model.json").read_text())
    (bundle.path / "model.json").write_text(json.dumps(card | changed))
    with pytest.raises(BundleError, match=message):
        TwinBundle.load(bundle.path).check_weights()
