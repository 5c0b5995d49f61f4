"""Fitting: the optimiser, batches, restarts, and resumed trainings."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from sip_reference import Reference

from bids_dtg.dynamics import make_networks
from bids_dtg.dynamics.fitting import Restart, choose_restart, choose_trained, fit
from bids_dtg.dynamics.networks import Networks, normalised, standardised
from bids_dtg.dynamics.objective import loss_of, terms_of
from bids_dtg.dynamics.recipe import RECIPES, Recipe
from bids_dtg.dynamics.task import KerasAdam
from bids_dtg.errors import RunError
from bids_dtg.training.loop import Workplace, torch_threads

TINY = Recipe(
    states=2, region_parameters=2, hidden=8, encoder_units=4, epochs=3, batch_size=4
)


@pytest.fixture
def networks() -> Networks:
    rng = np.random.default_rng(1)
    return Networks(
        people=("a", "b"),
        regions=tuple("ABCDE"),
        series=standardised(rng.standard_normal((2, 5, 40)).cumsum(-1)),
        weights=normalised(rng.random((2, 5, 5))),
        tr_seconds=2.0,
    )


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        (
            {"series": np.ones((2, 5))},
            r"series is \(people, regions, frames\) and weights",
        ),
        ({"series": np.ones((2, 5, 40))}, "a series is constant or has values"),
        (
            {"weights": -np.ones((2, 5, 5))},
            "structural connectome of p01 has weights below 0",
        ),
        ({"people": ["a"]}, r"series is \(1, 5, frames\), found \(2, 5, 40\)"),
    ],
)
def test_arrays_that_do_not_fit_together_are_refused(networks, changes, fault):
    arrays = {"series": networks.series, "weights": np.ones((2, 5, 5)), **changes}
    with pytest.raises(ValueError, match=fault):
        make_networks(**arrays, tr_seconds=2.0)


@pytest.mark.parametrize(
    "changes", [{"weights": np.ones((2, 4, 4))}, {"keep": np.ones((2, 3))}]
)
def test_arrays_of_other_sizes_are_refused(networks, changes):
    with pytest.raises(ValueError, match=r"is \(2, 5, 5\), found|is \(2, 40\), found"):
        replace(networks, **changes)


@pytest.mark.parametrize("prefix", ["AB", "AN"])
def test_first_step_of_the_optimiser_is_the_originals(prefix, shared):
    reference = Reference.read(shared, prefix)
    model = reference.model()
    items = reference.items()
    terms = terms_of(model, items, model.infer(items), reference.noise())
    loss_of(model, terms, 1.0, 0.3).backward()
    KerasAdam([p for p in model.parameters() if p.requires_grad], 1e-3).step()
    after = dict(model.named_parameters())
    names = {
        "transition.hidden.weight": "f_W1",
        "state_log_variance": "slv",
        "observation_log_variance": "olv",
        "observation.weight": "Ap",
    }
    if prefix == "AB":
        names |= {"log_tau": "logtau", "external_table": "us"}
    for ours, theirs in names.items():
        expected = reference[f"adam1_{theirs}"]
        stepped = after[ours].detach().numpy()
        stepped = stepped.T if ours == "transition.hidden.weight" else stepped
        np.testing.assert_allclose(stepped, expected, rtol=0, atol=3e-7, err_msg=ours)


@pytest.mark.parametrize(("changes", "seed"), [({"learning_rate": 1.0}, 0), ({}, 1)])
def test_a_folder_of_another_training_is_refused(networks, tmp_path, changes, seed):
    fit(networks, TINY, workplace=Workplace(tmp_path))
    with pytest.raises(
        RunError, match="a training with other options, series or structural"
    ):
        fit(
            networks, replace(TINY, **changes), seed=seed, workplace=Workplace(tmp_path)
        )
    reversed_networks = replace(networks, series=networks.series[:, ::-1].copy())
    with pytest.raises(
        RunError, match="a training with other options, series or structural"
    ):
        fit(reversed_networks, TINY, workplace=Workplace(tmp_path))


def test_the_restart_with_the_best_held_out_elbo_is_chosen(networks):
    def restart(elbo: float, held_out: float) -> Restart:
        return Restart(0, elbo, held_out, (), {})

    assert choose_restart((restart(5.0, 1.0), restart(4.0, 2.0))) == 1
    nothing = float("nan")
    assert choose_restart((restart(5.0, nothing), restart(4.0, nothing))) == 0
    with pytest.raises(RunError, match="the ELBO is not finite"):
        choose_restart((restart(nothing, nothing),))
    fitted = fit(networks, replace(TINY, epochs=1, restarts=2))
    assert [r.seed for r in fitted.restarts] == [0, 1]
    chosen = fitted.restarts[fitted.chosen]
    assert chosen.held_out_elbo == max(r.held_out_elbo for r in fitted.restarts)
    state = fitted.model.state_dict()
    torch.testing.assert_close(
        state["observation.weight"], chosen.state["observation.weight"]
    )


def test_held_out_series_do_not_move_the_weights(networks):
    trained = choose_trained(2, 5, TINY, seed=0)
    person, region = np.argwhere(~trained)[0]
    changed = networks.series.copy()
    # Its neighbours read it as their network input: cut the connections to see it alone.
    apart = replace(networks, weights=np.zeros_like(networks.weights))
    changed[person, region] = -changed[person, region]
    first = fit(apart, TINY).restarts[0].state
    second = fit(replace(apart, series=changed), TINY).restarts[0].state
    for name, value in first.items():
        torch.testing.assert_close(second[name], value, rtol=0, atol=0, msg=name)


def test_an_epoch_runs_on_one_thread_whatever_the_machine_has(networks):
    numbers = set()
    with torch_threads(3):
        fit(networks, TINY, report=lambda _: numbers.add(torch.get_num_threads()))
        assert torch.get_num_threads() == 3
    assert numbers == {1}


@pytest.mark.slow
def test_the_loss_falls_as_the_originals(shared):
    data = shared / "sip" / "data"
    with (
        np.load(data / "bold_REST1_LR_50.npz") as bold,
        np.load(data / "sc_50.npz") as weights,
    ):
        networks = Networks(
            people=tuple(map(str, bold["subject"][:8])),
            regions=tuple(map(str, bold["region"])),
            series=standardised(bold["bold"][:8]),
            weights=normalised(weights["weights"][:8]),
            tr_seconds=0.72,
        )
    with np.load(shared / "sip" / "reference.npz") as arrays:
        expected = arrays["curve_loss"]

    class Enough(Exception):
        pass

    losses: list[float] = []

    def read(line: str) -> None:
        if line.startswith("epoch"):
            losses.append(
                float(line.partition("loss ")[2].split(", ELBO")[0].replace(",", ""))
            )
        if len(losses) == 3:
            raise Enough

    recipe = replace(RECIPES["published"], restarts=1, held_out=0.0)
    with pytest.raises(Enough):
        fit(networks, recipe, report=read)
    np.testing.assert_allclose(
        losses, expected[:3], rtol=0.35
    )  # one seed of the original
