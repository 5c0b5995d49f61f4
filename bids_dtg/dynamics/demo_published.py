"""The demo of the published form: people with known parameters, which a network recovers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.dynamics.demo_picture import (
    ConnectivityPanels,
    RecoveredPanel,
    SpectrumPanel,
    draw_recovery,
)
from bids_dtg.dynamics.judging.recovery import left_out
from bids_dtg.dynamics.measures import (
    autocorrelation,
    connectivity,
    fc_fit,
    spectra,
)
from bids_dtg.dynamics.networks import Networks
from bids_dtg.dynamics.phantom.arrays import write_people
from bids_dtg.dynamics.phantom.connectomes import simulate_weights
from bids_dtg.dynamics.phantom.people import SimulatedPeople, simulate_hopf_people
from bids_dtg.dynamics.recipe import Recipe
from bids_dtg.errors import RunError
from bids_dtg.files.text import write_tsv
from bids_dtg.notices import say, show
from bids_dtg.report.demo import TABLE, run_fitted_demo
from bids_dtg.stats.correlation import correlation

Values = NDArray[np.floating[Any]]

PEOPLE = 8
UNITS = {"a": "", "f": "Hz"}
_BOUND = 1e6  # of a simulated series; observed ones have a standard deviation of 1
_DIGITS = 5  # of a table
_LINES = 10  # progress lines while the model is fitted
Z_90 = 1.6449  # 90 % of a Gaussian lie within so many standard deviations
_PICTURED_QUANTILES = (0.1, 0.5, 0.9)  # of the true a: regions whose spectra are drawn


# Of small simulated people: about two minutes of one core.
_RECIPE = Recipe(
    states=2,
    region_parameters=2,
    person_parameters=1,
    external_inputs=0,
    encoder_units=16,
    epochs=240,
    batch_size=16,
    held_out=0.0,
)


@dataclass(frozen=True)
class DemoSize:
    """Sizes of the simulation and the fit."""

    regions: int = 34
    simulations: int = 10  # of each person, by the fitted model
    recipe: Recipe = _RECIPE


@dataclass(frozen=True, eq=False)
class Recovered:
    """A parameter of regions, recovered for each person by a regression over the others."""

    truth: Values  # (people, regions)
    value: Values  # as truth
    sd: Values  # as truth, of the posterior alone
    wide_sd: Values  # as truth, including the regression's residual variance

    @property
    def rho(self) -> float:
        """Spearman's rho between truth and value, over all regions of all people."""
        return rho(self.truth, self.value)

    @property
    def coverage(self) -> float:
        """Share of the posteriors' 90 % intervals that contain the truth."""
        return self._share_within(self.sd)

    @property
    def wide_coverage(self) -> float:
        """Share of the wider 90 % intervals that contain the truth."""
        return self._share_within(self.wide_sd)

    @property
    def columns(self) -> dict[str, Values]:
        """Columns of the table."""
        return {
            "true": self.truth,
            "recovered": self.value,
            "sd": self.sd,
            "sd_with_residual": self.wide_sd,
        }

    def _share_within(self, sd: Values) -> float:
        return float(np.mean(np.abs(self.truth - self.value) <= Z_90 * sd))


@dataclass(frozen=True, eq=False)
class Demo:
    """Results of the demo, all simulated."""

    people: SimulatedPeople
    recovered: Mapping[str, Recovered]  # by the parameter's name
    simulations: NDArray[np.float32]  # (people, simulations, regions, frames), by the fitted model

    @property
    def networks(self) -> Networks:
        """The people that the model was fitted to."""
        return self.people.networks


def run_network_demo(
    out: Path, *, participants: int = PEOPLE, seed: int = 0, size: DemoSize | None = None
) -> None:
    """Simulate, fit, compare with the truth, draw.

    Parameters
    ----------
    out
        Output folder; it must be new or empty.
    participants
        How many people to simulate.
    seed
        Seed of all random numbers.
    size
        Sizes of simulation and fit; None: sizes for three minutes on two cores.

    Raises
    ------
    SettingsError
        A package is missing.
    RunError
        The fitted model failed: a result is not finite.
    """
    size = size or DemoSize()

    def simulate(folder: Path) -> SimulatedPeople:
        people = simulate_people(participants, size.regions, seed)
        write_people(folder, people)
        return people

    def compare(demo: Demo) -> None:
        _write_table(out / TABLE, demo)
        _print_scores(demo)

    run_fitted_demo(
        out,
        model="network model",
        participants=participants,
        simulate=simulate,
        fit=lambda people: _fitted(people, size, seed),
        compare=compare,
        draw=_picture,
    )


def simulate_people(participants: int, regions: int, seed: int) -> SimulatedPeople:
    """Simulate networks of Hopf oscillators; structural connectomes are simulated, too.

    Examples
    --------
    >>> people = simulate_people(2, 4, seed=0)
    >>> people.networks.series.shape, sorted(people.regional)
    ((2, 4, 180), ['a', 'f'])
    """
    weights, _, names = simulate_weights(participants, regions, np.random.default_rng(seed))
    return simulate_hopf_people(weights, seed=seed, regions=names)


def _fitted(people: SimulatedPeople, size: DemoSize, seed: int) -> Demo:
    """Fit the model to people, infer their parameters and simulate them by it."""
    # Imported here, so that a missing package is reported at once.
    from bids_dtg.dynamics.fitting import fit
    from bids_dtg.dynamics.inference import infer
    from bids_dtg.dynamics.simulation import simulate

    networks, recipe = people.networks, size.recipe
    say(f"fitting the network model to {len(networks.people) * len(networks.regions)} series …")
    fitted = fit(networks, recipe, seed=seed, report=_tenth_of(recipe.epochs))
    inferred = infer(fitted.model, networks, fitted.people)
    if not np.isfinite(inferred.region_mean).all():
        raise RunError("the fitted model's parameters are not finite: training has failed")
    found = {
        name: recovered(truth, inferred.region_mean, inferred.region_sd)
        for name, truth in people.regional.items()
    }
    say("simulating the people by the fitted model …")
    sessions = simulate(fitted.model, networks, inferred, simulations=size.simulations, seed=seed)
    return Demo(people, found, np.stack([bounded(session) for session in sessions]))


def _tenth_of(epochs: int) -> Callable[[str], None]:
    """Return a function that prints every tenth line, and the last one."""
    every, numbers = max(1, epochs // _LINES), count(1)

    def report(line: str) -> None:
        number = next(numbers)
        if number % every == 0 or number == epochs:
            say(line)

    return report


def bounded(sessions: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return simulations (simulations, regions, frames), with NaN in those that diverged.

    Examples
    --------
    >>> bounded(np.array([[[1.0, 2.0]], [[1.0, 1e12]]], "f4")).tolist()
    [[[1.0, 2.0]], [[nan, nan]]]
    """
    kept = np.abs(sessions).max(axis=(1, 2), keepdims=True) < _BOUND  # not where it is NaN
    return np.where(kept, sessions, np.float32(np.nan))


def recovered(truth: Values, mean: Values, sd: Values) -> Recovered:
    """Regress a true parameter on posterior means, leaving out one person at a time."""
    found = left_out(
        truth.ravel(),
        mean.reshape(truth.size, -1),
        sd.reshape(truth.size, -1),
        people=np.repeat(np.arange(len(truth)), truth.shape[1]),
    )
    return Recovered(
        truth, *(values.reshape(truth.shape) for values in (found.value, found.sd, found.wide_sd))
    )


def rho(one: Values, other: Values) -> float:
    """Return Spearman's rho of arrays of the same shape; 0 where one is constant."""
    from scipy.stats import rankdata

    r = correlation(rankdata(one), rankdata(other))
    return float(np.nan_to_num(r))


def descriptors(networks: Networks) -> dict[str, Values]:
    """Return model-free descriptors of series, (people, regions) each."""
    frequencies, power = spectra(networks.series, networks.tr_seconds)
    return {
        "variance": networks.series.var(axis=-1),
        "autocorrelation": autocorrelation(networks.series),
        "peak frequency": frequencies[power[..., 1:].argmax(axis=-1) + 1],
    }


def _write_table(path: Path, demo: Demo) -> None:
    found = demo.recovered
    columns = {
        f"{name}_{what}": values for name in found for what, values in found[name].columns.items()
    }
    rows = [
        (f"sub-{label}", region, *(each[row, column].round(_DIGITS) for each in columns.values()))
        for row, label in enumerate(demo.networks.people)
        for column, region in enumerate(demo.networks.regions)
    ]
    write_tsv(path, ["participant_id", "region", *columns], rows)


def _print_scores(demo: Demo) -> None:
    a, f = demo.recovered["a"], demo.recovered["f"]
    show("")
    show("SIMULATED people: Spearman's rho between true and recovered parameters of regions")
    _line("", "a", "f", "f, a > 0")
    _line("network model", *_rhos(a, f))
    plain = descriptors(demo.networks)
    together = np.stack([*plain.values()], axis=-1)
    for name, values in [*plain.items(), ("all of these", together)]:
        columns = values.reshape(*a.truth.shape, -1)
        exact = np.zeros_like(columns)
        _line(name, *_rhos(*(recovered(found.truth, columns, exact) for found in (a, f))))
    for line in (*_WORDS, *_coverage_words(demo), *_connectivity_words(demo), *_LAST_WORDS):
        show(line)


_WORDS = (
    "Each person's parameters are recovered by a regression fitted to the others. Model-free",
    "descriptors of a series are recovered by the same regression: its variance, its",
    "autocorrelation at a lag of one frame, the frequency of its largest power. Where that does",
    "as well, the network model adds nothing. Below a = 0, a region does not oscillate by itself.",
)
_LAST_WORDS = ("Everything here is SIMULATED: it says nothing about brains.", "")


def _rhos(a: Recovered, f: Recovered) -> tuple[float, float, float]:
    oscillating = a.truth > 0
    return a.rho, f.rho, rho(f.truth[oscillating], f.value[oscillating])


def _line(label: str, *values: float | str) -> None:
    cells = (f"{v:10.2f}" if isinstance(v, float) else f"{v:>10}" for v in values)
    show(f"  {label:18}{''.join(cells)}")


def _coverage_words(demo: Demo) -> list[str]:
    """Print how often intervals contain the truth."""
    found = demo.recovered.items()
    alone = ", ".join(f"{name} {each.coverage:.0%}" for name, each in found)
    wide = ", ".join(f"{name} {each.wide_coverage:.0%}" for name, each in found)
    return [
        f"90 % intervals hold the truth: of the posterior alone {alone};",
        f"with what the regression leaves unexplained {wide}",
    ]


def _connectivity_words(demo: Demo) -> list[str]:
    """Print how similar functional connectivities are, with an upper bound."""
    observed = connectivity(demo.networks.series)[:, None]
    of_model = fc_fit(observed, connectivity(demo.simulations))
    again = fc_fit(observed, connectivity(demo.people.again([1])))
    lost = int(np.isnan(of_model).sum())
    words = f" ({lost} of {of_model.size} grew without bounds)" if lost else ""
    model = "none" if lost == of_model.size else f"{np.nanmean(of_model):.2f}"
    return [
        "functional connectivity, r with the observed one: of the fitted model's simulations "
        f"{model}{words};",
        f"of the true system, simulated once more, {again.mean():.2f}",
    ]


def _picture(demo: Demo) -> bytes | None:
    networks, a = demo.networks, demo.recovered["a"]
    shown = len(networks.people) - 1  # the person with the strongest coupling
    whose = f"sub-{networks.people[shown]}"
    order = np.argsort(a.truth[shown])
    regions = [int(order[round(q * (len(order) - 1))]) for q in _PICTURED_QUANTILES]
    sessions = demo.simulations[shown]
    finite = sessions[np.isfinite(sessions).all(axis=(1, 2))]
    frequencies, observed = spectra(networks.series[shown], networks.tr_seconds)
    simulated = spectra(finite, networks.tr_seconds)[1] if len(finite) else observed[None][:0]
    pictured = finite[0] if len(finite) else sessions[0]
    return draw_recovery(
        [_panel(name, found, a.truth > 0) for name, found in demo.recovered.items()],
        ConnectivityPanels(connectivity(networks.series[shown]), connectivity(pictured), whose),
        [
            SpectrumPanel(
                f"{whose}, {networks.regions[region]}: true a = {a.truth[shown, region]:.2f}",
                frequencies,
                observed[region],
                simulated[:, region],
            )
            for region in regions
        ],
        title=f"SIMULATED: {len(networks.people)} networks of {len(networks.regions)} Hopf "
        "oscillators, and what the network model fitted to their series recovers",
    )


def _panel(name: str, found: Recovered, oscillating: NDArray[np.bool_]) -> RecoveredPanel:
    unit = UNITS.get(name)
    half = Z_90 * found.sd
    return RecoveredPanel(
        name=f"{name} ({unit})" if unit else name,
        truth=found.truth.ravel(),
        mean=found.value.ravel(),
        low=(found.value - half).ravel(),
        high=(found.value + half).ravel(),
        marked=oscillating.ravel(),
        marks=("a > 0", "a ≤ 0"),
        words=f"{name}: rho = {found.rho:.2f}; 90 % intervals of the\nposterior hold "
        f"{found.coverage:.0%} of the true values",
    )
