"""The demo of the published network: it recovers the known parameters of simulated people."""

from __future__ import annotations

import argparse
import io
import itertools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bids_dtg.array_types import Float32, Floats, Mask
from bids_dtg.dynamics.measures import (
    autocorrelation,
    bounded,
    connectivity,
    fc_fit,
    spectra,
)
from bids_dtg.dynamics.networks import Networks
from bids_dtg.dynamics.phantom.people import (
    SimulatedPeople,
    simulate_hopf_people,
    simulate_weights,
    write_people,
    write_regional,
)
from bids_dtg.dynamics.recipe import Recipe
from bids_dtg.dynamics.recovery import Recovered, recover, spearman
from bids_dtg.extras import require
from bids_dtg.files.atomic import write_atomic
from bids_dtg.notices import counted, say, show
from bids_dtg.report.page import write_demo
from bids_dtg.report.tables import Table
from bids_dtg.workflows import PICTURE, SIMULATED, TABLE

if TYPE_CHECKING:
    from matplotlib.axes import Axes


REGIONS = 34
UNITS = {"a": "", "f": "Hz"}
# Small enough to take about two minutes on one CPU core.
RECIPE = Recipe(
    states=2,
    region_parameters=2,
    person_parameters=1,
    external_inputs=0,
    encoder_units=16,
    epochs=240,
    held_out=0.0,
)
_SIMULATIONS = 10  # of each person, by the fitted model
_DIGITS = 5  # decimals in the table
_LINES = 10  # progress lines while the model is fitted
_INCHES = 13.0, 7.2
# Okabe and Ito's colours, distinguishable with any colour vision.
_FIRST, _SECOND = "#0072B2", "#D55E00"
_LINE = "#555555"
_WORDS = (
    "Each person's parameters are recovered by a regression fitted to the other people. For "
    "comparison, the same regression uses model-free descriptors of a series: its variance, its "
    "autocorrelation at a lag of one frame, and its peak frequency. Where these recover a "
    "parameter equally well, the network model adds nothing. Below a = 0, a region does not "
    "oscillate on its own."
)
_WARNING = "Everything here is SIMULATED: it says nothing about brains."


def run_network_demo(
    arguments: argparse.Namespace,
    *,
    regions: int = REGIONS,
    recipe: Recipe = RECIPE,
) -> None:
    """Simulate people, fit the network, and compare its parameters with the truth.

    Parameters
    ----------
    arguments
        `out`, a new or empty folder; the number of `participants`; and the `seed` of all random
        numbers.
    regions
        Number of regions to simulate.
    recipe
        Sizes and training of the network.

    Raises
    ------
    SettingsError
        A package is missing.
    RunError
        The fitted model's parameters are not finite.
    """
    require(
        "the demo of the network model",
        "torch",
        "lightning",
        extra="train",
        otherwise="--workflow contrasts, which needs none",
    )
    out: Path = arguments.out
    participants, seed = arguments.participants, arguments.seed
    weights, _, names = simulate_weights(
        participants, regions, np.random.default_rng(seed)
    )
    people = simulate_hopf_people(weights, seed=seed, regions=names)
    write_people(out / SIMULATED, people)
    show(f"{counted(participants, 'simulated participant')} in {out / SIMULATED}")
    recovered, sessions = _fitted(people, recipe, seed)
    _write_table(out / TABLE, people.networks, recovered)
    write_atomic(out / PICTURE, _picture(people.networks, recovered, sessions[-1]))
    _report(out, people, recovered, sessions)


def _fitted(
    people: SimulatedPeople, recipe: Recipe, seed: int
) -> tuple[dict[str, Recovered], Float32]:
    """Fit the model to people, infer their parameters, and simulate their sessions.

    Returns
    -------
    recovered
        By the parameter's name, over regions of all people.
    sessions
        (people, simulations, regions, frames), by the fitted model; NaN where one diverged.
    """
    # Imported here, so that `require` can report a missing package first.
    from bids_dtg.dynamics.fitting import fit

    networks = people.networks
    count = len(networks.people) * len(networks.regions)
    say(f"fitting the network model to {count} series …")
    fitted = fit(networks, recipe, seed=seed, report=_tenth_of(recipe.epochs))
    inferred = fitted.infer(networks)
    recovered = {
        name: _recovered(truth, inferred.region_mean, inferred.region_sd)
        for name, truth in people.regional.items()
    }
    say("simulating the people with the fitted model …")
    sessions = fitted.simulate(networks, simulations=_SIMULATIONS, seed=seed)
    for simulations in sessions:
        simulations[~bounded(simulations)] = np.nan
    return recovered, sessions


def _tenth_of(epochs: int) -> Callable[[str], None]:
    """Return a function that prints about ten progress lines, the last one included."""
    every = max(1, epochs // _LINES)
    numbers = itertools.count(1)

    def report(line: str) -> None:
        number = next(numbers)
        if number % every == 0 or number == epochs:
            say(line)

    return report


def _recovered(truth: Floats, mean: Floats, sd: Floats | None = None) -> Recovered:
    """Recover a parameter (people, regions) from values (people, regions[, values])."""
    means = mean.reshape(truth.size, -1)
    sds = np.zeros_like(means) if sd is None else sd.reshape(truth.size, -1)
    person_of = np.repeat(np.arange(len(truth)), truth.shape[1])
    return recover(truth.ravel(), means, sds, person_of)


def _descriptors(networks: Networks) -> dict[str, Floats]:
    """Return model-free descriptors of series, (people, regions) each."""
    frequencies, power = spectra(networks.series, networks.tr_seconds)
    return {
        "variance": networks.series.var(axis=-1),
        "autocorrelation": autocorrelation(networks.series),
        "peak frequency": frequencies[power[..., 1:].argmax(axis=-1) + 1],
    }


def _write_table(
    path: Path, networks: Networks, recovered: Mapping[str, Recovered]
) -> None:
    columns: dict[str, Floats] = {}
    for name, parameter in recovered.items():
        columns[f"{name}_true"] = parameter.truth.round(_DIGITS)
        columns[f"{name}_recovered"] = parameter.value.round(_DIGITS)
        columns[f"{name}_sd"] = parameter.sd.round(_DIGITS)
    write_regional(path, networks, columns)


def _report(
    out: Path,
    people: SimulatedPeople,
    recovered: Mapping[str, Recovered],
    sessions: Float32,
) -> None:
    """Print and write to a page how well the model and simple descriptors recover parameters."""
    networks = people.networks
    rows = [("network model", *_rhos(recovered))]
    plain = _descriptors(networks)
    plain["all three descriptors"] = np.stack([*plain.values()], axis=-1)
    for name, values in plain.items():
        by_values = {
            parameter: _recovered(truth, values)
            for parameter, truth in people.regional.items()
        }
        rows.append((name, *_rhos(by_values)))
    covered = ", ".join(
        f"{name} {parameter.coverage:.0%}" for name, parameter in recovered.items()
    )
    observed = connectivity(networks.series)[:, None]
    model_fit = fc_fit(observed, connectivity(sessions))
    again = fc_fit(observed, connectivity(people.again([1])))
    lost = int(np.isnan(model_fit).sum())
    words = f" ({lost} of {model_fit.size} diverged)" if lost else ""
    model = "none" if lost == model_fit.size else f"{np.nanmean(model_fit):.2f}"
    text = [
        _WORDS,
        f"True values within the 90 % posterior intervals: {covered}.",
        "Functional connectivity, r with the observed one: simulations of the fitted model "
        f"{model}{words}; another simulation of the true system {again.mean():.2f}.",
    ]
    headings = (
        "Spearman's rho between true and recovered parameters",
        "a",
        "f",
        "f, a > 0",
    )
    show("")
    show(f"{headings[0]}{'':4}{'a':>8}{'f':>8}{headings[3]:>10}")
    for name, *rhos in rows:
        show(f"  {name:54}{rhos[0]:8.2f}{rhos[1]:8.2f}{rhos[2]:10.2f}")
    participants = counted(networks.people, "SIMULATED participant")
    write_demo(
        out,
        "Demo: the published network and the truth",
        f"{participants} of {len(networks.regions)} regions with known parameters.",
        _WARNING,
        text=text,
        tables=[Table("", headings, rows)],
        pages={TABLE: TABLE},
    )


def _rhos(recovered: Mapping[str, Recovered]) -> tuple[float, float, float]:
    a, f = recovered["a"], recovered["f"]
    oscillating = a.truth > 0
    return a.rho, f.rho, spearman(f.truth[oscillating], f.value[oscillating])


def _picture(
    networks: Networks, recovered: Mapping[str, Recovered], sessions: Float32
) -> bytes:
    """Draw both parameters, and FC of the person with the strongest coupling, as a PNG image.

    `sessions` (simulations, regions, frames) are that person's, the last one's.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=_INCHES, layout="constrained")
    people, regions = len(networks.people), len(networks.regions)
    title = (
        f"SIMULATED: {people} networks of {regions} Hopf oscillators, and what the network "
        "model fitted to their series recovers"
    )
    figure.suptitle(title, fontsize=12, x=0.01, ha="left")
    grid = figure.add_gridspec(2, 1)
    top, bottom = (figure.add_subfigure(grid[row, 0]) for row in (0, 1))
    oscillating = recovered["a"].truth > 0
    parameters = zip(top.subplots(1, 2), recovered.items(), strict=True)
    for place, (name, parameter) in parameters:
        _draw_parameter(place, name, parameter, oscillating)
    finite = sessions[np.isfinite(sessions).all(axis=(1, 2))]
    pictured = finite[0] if len(finite) else sessions[0]
    matrices = {"observed": networks.series[-1], "by the fitted model": pictured}
    places = bottom.subplots(1, 2)
    for place, (words, series) in zip(places, matrices.items(), strict=True):
        drawn = place.imshow(connectivity(series), cmap="RdBu_r", vmin=-1.0, vmax=1.0)
        title = f"functional connectivity, {words}: sub-{networks.people[-1]}"
        place.set_title(title, fontsize=9, loc="left")
        place.set(xlabel="region", ylabel="region")
    bottom.colorbar(drawn, ax=list(places), label="Pearson r", shrink=0.8)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()


def _draw_parameter(
    axes: Axes, name: str, recovered: Recovered, oscillating: Mask
) -> None:
    low, high = recovered.interval
    for rows, colour, marker, label in (
        (~oscillating, _SECOND, "^", "a ≤ 0"),
        (oscillating, _FIRST, "o", "a > 0"),
    ):
        axes.errorbar(
            recovered.truth[rows],
            recovered.value[rows],
            yerr=np.stack([recovered.value - low, high - recovered.value])[:, rows],
            fmt=marker,
            color=colour,
            markersize=3,
            elinewidth=0.5,
            alpha=0.55,
            linestyle="none",
            label=label,
        )
    ends = (float(recovered.truth.min()), float(recovered.truth.max()))
    axes.plot(ends, ends, color=_LINE, linewidth=1, linestyle="--")
    unit = f" ({UNITS[name]})" if UNITS.get(name) else ""
    axes.set(xlabel=f"true {name}{unit}", ylabel=f"recovered {name}{unit}")
    words = (
        f"{name}: rho = {recovered.rho:.2f}; 90 % posterior intervals cover "
        f"{recovered.coverage:.0%} of the true values"
    )
    axes.set_title(words, fontsize=9, loc="left")
    axes.legend(fontsize=8, loc="upper left", framealpha=0.9)
