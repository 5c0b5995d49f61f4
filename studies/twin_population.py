"""Do simulated twins respond as real people do? The fit of their population values, and the match.

    python studies/twin_population.py DATA [--fit] [--people 400] [--seed 1]

DATA is the folder with tcp_trials.tsv.gz: trials of 182 people of the Transdiagnostic Connectome
Project (CC0). People below chance in a run are left out of that run, misses counted as errors.

`--fit` prints the population values that `bids_dtg/twin/phantom/population.py` keeps. Least squares
over means and standard deviations of the five parameters and over both delays: figures of a
condition are analytic for 128 people on a Sobol sequence, and are compared with those of the faces
run and the first Stroop run. A penalty on the logarithm of standard deviations keeps them near the
project's values, because these figures do not separate differences of boundary and of drift.
Shares of lapses come from the mean and standard deviation of the missed share over people.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import least_squares
from scipy.stats import norm, qmc

from bids_dtg.twin.phantom.diffusion import (
    decision_quantiles,
    mean_decision_seconds,
    share_correct,
)
from bids_dtg.twin.phantom.people import simulate_twin_people
from bids_dtg.twin.phantom.population import POPULATION, TASKS, Population
from bids_dtg.twin.phantom.sequences import SEQUENCES, trial_sequence

Array = NDArray[np.float64]

QUANTILES = [0.1, 0.3, 0.5, 0.7, 0.9]
LEAST_RT, MOST_RT = 0.15, 2.0  # seconds: responses that count
# What the fit weighs a figure by: how far off it may be.
SCALES = {"mean": 0.01, "sd": 0.02, "correct": 0.01, "between": 0.01, "sd of sd": 0.02}
PRIOR_SDS, PRIOR_SCALE = np.array([0.07, 0.22, 0.40, 0.22, 0.30]), 0.35
QUANTILE_SCALE, EFFECT_SCALE = 0.02, 0.005
RUNS = {("faces", "AP"): "hammerAP", ("stroop", "AP"): "stroopAP", ("stroop", "PA"): "stroopPA"}


def sd_decision_seconds(drift: Array, boundary: Array) -> Array:
    """Return the standard deviation of the decision time, in seconds.

    Its square is a / (2v³) (sinh(av) - av) / (1 + cosh(av)): the second derivative of the
    logarithm of the time's Laplace transform, cosh(av / 2) / cosh(a √(v² + 2s) / 2), at s = 0.
    """
    v, a = np.abs(np.asarray(drift, np.float64)), np.asarray(boundary, np.float64)
    m = np.maximum(a * v, 1e-3)  # at 1e-3, the square is within 1e-7 of its limit, 1/24
    # (sinh m - m) / (1 + cosh m) without overflow
    fall = np.exp(-m)
    share = (1.0 - fall**2 - 2.0 * m * fall) / (1.0 + fall) ** 2
    return np.asarray(a**2 * np.sqrt(share / (2.0 * m**3)))


def real_trials(data: Path) -> dict[str, pd.DataFrame]:
    """Read trials of each run; people below chance are left out."""
    table = pd.read_csv(data / "tcp_trials.tsv.gz", sep="\t", na_values="n/a")
    found = {}
    for key, trials in table.groupby(["task", "run"]):
        share = trials.groupby("participant_id").correct.transform("mean")
        kept = trials[share > (1 / 2 if key[0] == "faces" else 1 / 3)]
        found[RUNS[key]] = kept.rename(columns={"participant_id": "person"})
    return found


def simulated_trials(people: int, seed: int) -> dict[str, pd.DataFrame]:
    """Simulate people of the hard regime in the same runs."""
    names = list(SEQUENCES)
    simulated = simulate_twin_people(people, "hard", regions=20, seed=seed)
    runs = simulated.runs([trial_sequence(name) for name in names], seed=seed)
    return {
        name: pd.concat(
            pd.DataFrame(
                {
                    "person": label,
                    "condition": np.array(run.task.conditions)[run.condition],
                    "half": run.half(),
                    "rt": run.rt_seconds,
                    "correct": run.correct,
                }
            )
            for label, run in zip(simulated.labels, (mine[i] for mine in runs), strict=True)
        )
        for i, name in enumerate(names)
    }


def figures(trials: pd.DataFrame) -> dict[str, float]:
    """Return a condition's figures."""
    counted = trials[trials.rt.between(LEAST_RT, MOST_RT)]
    rt = counted.groupby("person").rt
    missed = trials.rt.isna().groupby(trials.person).mean()
    table = {
        "mean": rt.mean().mean(),
        "sd": rt.std().mean(),
        "between": rt.mean().std(),
        "sd of sd": rt.std().std(),
        "correct": counted.groupby("person").correct.mean().mean(),
        "missed": missed.mean(),
        "sd of missed": missed.std(),
    }
    return table | {f"q{q}": rt.quantile(q).mean() for q in QUANTILES}


def effects(trials: pd.DataFrame, task: str) -> pd.DataFrame:
    """Return mean response times of people in both conditions of each half, and the effect."""
    counted = trials[trials.rt.between(LEAST_RT, MOST_RT)]
    means = counted.groupby(["person", "condition"]).rt.mean().unstack()
    first, second = TASKS[task]
    return means[second] - means[first]


def half_means(trials: pd.DataFrame) -> pd.DataFrame:
    """Return mean response times of people in each half."""
    counted = trials[trials.rt.between(LEAST_RT, MOST_RT)]
    return counted.groupby(["person", "half"]).rt.mean().unstack()[[1, 2]].dropna()


def predicted(population: Population, standard: np.ndarray, task: str) -> list[dict[str, float]]:
    """Return a population's figures in both conditions of a task, without simulation."""
    parameters = population.parameters(standard)
    starts, a, found = population.start_seconds(parameters, task), parameters[:, 1], []
    for v, t0 in zip(population.drifts(parameters, task).T, starts.T, strict=True):
        sd, mean = sd_decision_seconds(v, a), t0 + mean_decision_seconds(v, a)
        times = t0[:, None] + decision_quantiles(QUANTILES, v, a)
        found.append(
            {
                "mean": mean.mean(),
                "sd": sd.mean(),
                "between": np.sqrt(mean.var() + (sd**2 / 50).mean()),  # about 50 trials a mean
                "sd of sd": np.sqrt(sd.var() + (sd**2 / 50).mean()),
                "correct": share_correct(v, a).mean(),
                "effect": mean,
                "noise": (sd**2).mean(),
            }
            | {f"q{q}": times[:, i].mean() for i, q in enumerate(QUANTILES)}
        )
    return found


def fit(real: dict[str, pd.DataFrame]) -> Population:
    """Fit means and standard deviations of the parameters, and shares of lapses."""
    uniform = qmc.Sobol(5, seed=0).random(128)
    standard = norm.ppf(np.clip(uniform, 1e-6, 1 - 1e-6))
    runs = {"faces": real["hammerAP"], "stroop": real["stroopAP"]}
    wanted = {
        task: [figures(runs[task][runs[task].condition == name]) for name in names]
        for task, names in TASKS.items()
    }
    spread = {task: effects(runs[task], task).std() for task in TASKS}
    level = {task: effects(runs[task], task).mean() for task in TASKS}
    trials = {"faces": (54, 54), "stroop": (54, 24)}

    def population(x: np.ndarray) -> Population:
        return replace(
            POPULATION, means=tuple(x[:5]), sds=tuple(np.abs(x[5:10])), delays=tuple(x[10:])
        )

    def residuals(x: np.ndarray) -> np.ndarray:
        off = list(np.log(np.abs(x[5:10]) / PRIOR_SDS) / PRIOR_SCALE)
        for task in TASKS:
            made = predicted(population(x), standard, task)
            for mine, real_figures in zip(made, wanted[task], strict=True):
                off += [(mine[k] - real_figures[k]) / s for k, s in SCALES.items()]
                off += [(mine[f"q{q}"] - real_figures[f"q{q}"]) / QUANTILE_SCALE for q in QUANTILES]
            noise = sum(m["noise"] / n for m, n in zip(made, trials[task], strict=True))
            effect = np.sqrt((made[1]["effect"] - made[0]["effect"]).var() + noise)
            off.append((effect - spread[task]) / EFFECT_SCALE)
            mean = (made[1]["effect"] - made[0]["effect"]).mean()
            off.append((mean - level[task]) / EFFECT_SCALE)
        return np.array(off)

    start = np.array([0.48, 1.6, 2.5, 0.5, 1.0, *PRIOR_SDS, 0.03, 0.06])
    found = least_squares(residuals, start, diff_step=1e-3, max_nfev=15)
    missed = pd.concat(t.rt.isna().groupby(t.person).mean() for t in real.values())
    fitted = population(found.x)
    return replace(
        fitted,
        means=tuple(round(float(v), 3) for v in fitted.means),
        sds=tuple(round(float(v), 3) for v in fitted.sds),
        delays=tuple(round(float(v), 3) for v in fitted.delays),
        lapse_mean=round(float(missed.mean()), 3),
        lapse_sd=round(float(missed.std()), 3),
    )


def show(real: dict[str, pd.DataFrame], simulated: dict[str, pd.DataFrame]) -> None:
    """Print figures of each condition, and of each run: real / simulated."""
    for name, task in SEQUENCES.items():
        pair = (real[name], simulated[name])
        for condition in TASKS[task]:
            both = [figures(trials[trials.condition == condition]) for trials in pair]
            cells = [f"{k} {both[0][k]:.3f}/{both[1][k]:.3f}" for k in both[0]]
            print(f"{name} {condition}: " + ", ".join(cells))
        spread = [effects(trials, task) for trials in pair]
        halves = [half_means(trials) for trials in pair]
        rows = {
            "effect": [e.mean() for e in spread],
            "sd of effect": [e.std() for e in spread],
            "between-person sd": [h.mean(axis=1).std() for h in halves],
            "split-half r": [h[1].corr(h[2]) for h in halves],
        }
        print(f"{name}: " + ", ".join(f"{k} {a:.3f}/{b:.3f}" for k, (a, b) in rows.items()))
    across = [
        half_means(t["hammerAP"]).mean(axis=1).corr(half_means(t["stroopAP"]).mean(axis=1))
        for t in (real, simulated)
    ]
    print(f"r of mean rt, faces and Stroop: {across[0]:.2f}/{across[1]:.2f}")
    again = [
        half_means(t["stroopAP"]).mean(axis=1).corr(half_means(t["stroopPA"]).mean(axis=1))
        for t in (real, simulated)
    ]
    print(f"r of mean rt, both Stroop runs: {again[0]:.2f}/{again[1]:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--fit", action="store_true")
    parser.add_argument("--people", type=int, default=400)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    real = real_trials(arguments.data)
    if arguments.fit:
        print(fit(real))
        return
    show(real, simulated_trials(arguments.people, arguments.seed))


if __name__ == "__main__":
    main()
