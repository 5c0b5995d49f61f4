"""Pages of network models as the analyses write them, from random arrays of realistic size."""

from __future__ import annotations

import numpy as np

from bids_dtg.report import figures
from bids_dtg.report.flags import Flag
from bids_dtg.report.page import Page, Section, Table

REGIONS, EPOCHS = 68, 300
BETTER = ("VAR(1) per participant", "Mean FC of the other participants", "Retest (REST2)")


def fc_table(**changes) -> Table:
    def interval(value):
        return (value, value - 0.012, value + 0.012)

    means = {"Model": 0.531, "No input": 0.004, BETTER[0]: 1.0, BETTER[1]: 0.691, BETTER[2]: 1.0}
    facts = {
        "caption": "Fit of simulated FC: Pearson r over 2,278 pairs of regions, mean over 40 "
        "participants with its 95 % interval",
        "columns": ("Simulation", "REST1", "REST2", "participants"),
        "rows": [(name, interval(r), interval(0.8 * r), 40) for name, r in means.items()],
        "notes": ("VAR(1) has the FC of its own session by construction.",),
        "highlight": [*means][1:],
        "better": [(name, "REST1") for name in BETTER],
    }
    return Table(**{**facts, **changes})


def training() -> Section:
    random, epochs = np.random.default_rng(0), np.arange(EPOCHS)
    series = {}
    for restart in (1, 2, 3):
        noise = random.normal(0, 20, EPOCHS)
        series[f"restart {restart}"] = 2000 + 26000 * np.exp(-epochs / (6 + restart)) + noise
    series["restart 2"][180:] = np.nan
    losses = figures.curves(
        "Training loss a series, by restart.", "epoch", "negative ELBO (nats)", series
    )
    betas = {"β of θ": np.minimum(epochs / 150, 1.0)}
    ramp = figures.curves("Weights of the schedule.", "epoch", "weight", betas, start=0)
    return Section("Training", ("Three restarts; the second diverged.",), figures=(losses, ramp))


def matrices(ends=None) -> figures.Figure:
    random = np.random.default_rng(1)
    signal = random.normal(size=(200, REGIONS)) + random.normal(size=(200, 1))
    measured = np.corrcoef(signal.T)
    items = {
        "Measured, REST1": measured,
        "Measured, REST2": measured + random.normal(0, 0.03, measured.shape),
        "Simulated": 0.7 * measured,
        "External input only": 0.1 * measured,
        "VAR(1)": measured * np.where(random.uniform(size=measured.shape) > 0.02, 1, np.nan),
    }
    return figures.matrices("Mean FC over participants.", items, ends)


def spectra() -> figures.Figure:
    frequency = np.fft.rfftfreq(128, 0.72)
    power = 1 / (0.02 + frequency**2) / 10
    measured = (0.6 * power, power, 1.6 * power)
    return figures.spectra(
        "Power spectra: median over pairs of participant and region, with quartiles.",
        frequency,
        {
            "measured": measured,
            "simulated": tuple(1.3 * part * (1 + frequency) for part in measured),
        },
    )


def scatter(*, regions=40, **changes) -> figures.Figure:
    random = np.random.default_rng(3)
    true = random.normal(-0.2, 0.3, 3 * regions)
    points = np.stack([true, 0.8 * true + random.normal(0, 0.1, 3 * regions)], axis=1)
    facts = {
        "caption": "Bifurcation parameter a, true and recovered: rank correlation 0.93.",
        "x_label": "true a",
        "y_label": "recovered a",
        "points": points,
        "groups": np.repeat(["G = 0.1", "G = 0.5", "G = 0.9"], regions).tolist(),
        "identity": True,
    }
    return figures.scatter(**{**facts, **changes})


def example_facts(**changes) -> Page:
    facts = {
        "title": "evaluate-published",
        "lead": "The published form, trained on REST1 of 40 participants with 68 regions each.",
        "flags": (Flag("note", "The last 10 of 50 participants were not used"),),
        "sections": (
            Section("Functional connectivity", tables=(fc_table(),), figures=(matrices(),)),
            Section("Checks", figures=(spectra(),)),
            Section("Recovery", figures=(scatter(), scatter(identity=False, groups=()))),
            training(),
        ),
    }
    return Page(**{**facts, **changes})
