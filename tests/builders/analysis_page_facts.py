"""Pages of network models as the analyses write them, from random arrays of realistic size."""

from __future__ import annotations

import numpy as np

from bids_dtg.report import figures
from bids_dtg.report.flags import Flag
from bids_dtg.report.pages.analysis import AnalysisPageFacts, PageSection, Table

REGIONS = 68
EPOCHS = 300


def interval(value, half=0.012):
    return (value, value - half, value + half)


BETTER = ("VAR(1) per participant", "Mean FC of the other participants", "Retest (REST2)")


def fc_table(**changes) -> Table:
    rows = [
        ("Model", 0.531, 0.428),
        ("External input only", 0.502, 0.409),
        ("Network input only", 0.211, 0.174),
        ("No input", 0.004, 0.002),
        ("White noise", 0.0, 0.0),
        ("AR(1) per region", 0.001, 0.0),
        ("VAR(1) per participant", 1.0, 0.789),
        ("Rank 1 of the mean signal", 0.527, 0.425),
        ("Homogeneous linear network", 0.289, 0.251),
        ("Mean FC of the other participants", 0.691, 0.662),
        ("Retest (REST2)", 1.0, 0.782),
    ]
    facts = {
        "caption": "Fit of simulated FC: Pearson r over 2,278 pairs of regions, mean over 40 "
        "participants with its 95 % interval",
        "columns": ("Simulation", "REST1", "REST2", "participants"),
        "rows": [(name, interval(one), interval(two), 40) for name, one, two in rows],
        "notes": ("VAR(1) has the FC of its own session by construction.",),
        "highlight": [name for name, _, _ in rows[1:]],
        "better": [(name, "REST1") for name in BETTER],
    }
    return Table(**{**facts, **changes})


def kl_table() -> Table:
    rows = [("θ1", 2.851, 0.14, "2.846 ± 0.135"), ("θ2", 1.9, 0.8, "2.025 ± 0.786")]
    return Table(
        "KL of each latent dimension, over 2,720 pairs of participant and region",
        ("Dimension", "mean", "sd", "Sip et al. 2023"),
        [*rows, ("θ3", 0.0004, 0.00021, None)],
    )


def features_table() -> Table:
    names = ("in-strength", "centrality", "PCA 1", "zero-crossings", "power < 0.1 Hz")
    random = np.random.default_rng(2)
    rows = [
        (name, interval(r2), *random.uniform(-1, 1, 3), p, published)
        for name, r2, p, published in zip(
            names,
            (0.51, 0.33, 0.4, 0.95, 0.92),
            (0.004, 0.031, 2e-5, 1e-7, 1e-7),
            (0.55, 0.35, 0.44, 0.96, 0.93),
            strict=True,
        )
    ]
    columns = ("Feature", "R²", "θ1", "θ2", "θ3", "p (Moran)", "R², Sip et al.")
    return Table("Regression of regional features on θ, at region level", columns, rows)


def checks_table() -> Table:
    rows = [
        ("zero-crossings", 395.2, 388.7, 0.41),
        ("FC strength", 0.061, 0.044, 0.02),
        ("FCD, Kolmogorov-Smirnov distance", None, 0.43, 0.0),
        ("ELBO", -28841.3, -2085.1, float("nan")),
    ]
    columns = ("Figure", "measured", "simulated", "posterior-predictive p")
    return Table("Posterior-predictive checks, 50 simulations a participant", columns, rows)


def training() -> PageSection:
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
    return PageSection(
        "Training", ("Three restarts; the second diverged.",), figures=(losses, ramp)
    )


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


def example_facts(**changes) -> AnalysisPageFacts:
    flags = (
        Flag("note", "The last 10 of 50 participants were not used"),
        Flag(
            "warning", "Mean FC of the other participants fits REST2 better than the model: 0.662"
        ),
    )
    fixed = Table(
        "Fixed points of single regions",
        ("Quantity", "found", "published"),
        [("cases", 6120, 6120), ("one stable fixed point", "100 %", "100 %")],
    )
    facts = {
        "title": "evaluate-published",
        "lead": "The published form, trained on REST1 of 40 participants with 68 regions each.",
        "flags": flags,
        "sections": (
            PageSection("Functional connectivity", tables=(fc_table(),), figures=(matrices(),)),
            PageSection("Latent parameters", tables=(kl_table(), features_table())),
            PageSection("Checks", tables=(checks_table(),), figures=(spectra(),)),
            PageSection("Fixed points", tables=(fixed,)),
            PageSection("Recovery", figures=(scatter(), scatter(identity=False, groups=()))),
            training(),
        ),
        "index": "../../index.html",
    }
    return AnalysisPageFacts(**{**facts, **changes})
