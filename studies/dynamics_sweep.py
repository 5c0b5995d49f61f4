"""Fit networks with several numbers of states and parameters, with and without external input.

    python studies/dynamics_sweep.py WORK --rest bold.npz --structural sc.npz [--recipe published]
    python studies/dynamics_sweep.py WORK --simulated 8 --recipe default

The sizes are the published ones (Sip et al. 2023, table 1, figures 7 and 8): 1 to 5 states with 3
parameters, 1 to 5 parameters with 3 states, and 3 of both without an external input. The files have
the keys of `../shared/sip/data` (bold, subject, region, tr; weights). The tables show the fit of FC
in the training people, by inputs of the simulation; the use of parameters, as KL divergence from
the prior; and how much of the measures of single regions the parameters explain. WORK keeps the
trainings, so the same command resumes an interrupted run.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import get_args

import numpy as np

from bids_dtg.dynamics.demo_recovery import simulate_people
from bids_dtg.dynamics.fitting import Fitted, fit
from bids_dtg.dynamics.measures import connectivity, fc_fit
from bids_dtg.dynamics.networks import Networks, make_networks
from bids_dtg.dynamics.parameters import FIGURES, latent_kl, parameter_effects
from bids_dtg.dynamics.recipe import DEFAULT, RECIPES, Recipe, find_recipe
from bids_dtg.dynamics.simulation import Inputs, simulate
from bids_dtg.training.loop import Workplace

PUBLISHED = 3  # states, and parameters, of the published network
SIMULATED_REGIONS = 20


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("--states", type=int, nargs="*", default=[1, 2, 3, 4, 5])
    parser.add_argument("--parameters", type=int, nargs="*", default=[1, 2, 3, 4, 5])
    parser.add_argument("--recipe", choices=RECIPES, default=DEFAULT)
    parser.add_argument("--epochs", type=int, help="in place of the recipe's")
    parser.add_argument("--simulations", type=int, default=10, help="of each person")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--rest", type=Path)
    parser.add_argument("--structural", type=Path)
    parser.add_argument(
        "--simulated", type=int, metavar="PEOPLE", help="in place of both files"
    )
    args = parser.parse_args(argv)
    networks = read(args)
    report = partial(print, flush=True)
    fits = []
    uses = []
    roles = []
    for name, recipe in variants(args).items():
        print(f"# {name}", flush=True)
        place = Workplace(args.work / name, device=args.device)
        fitted = fit(networks, recipe, workplace=place, report=report)
        fits.append([name, *fits_of(fitted, networks, args.simulations)])
        uses.append([name, *uses_of(fitted, networks)])
        roles.append([name, *roles_of(fitted, networks)])
    print_table("fit of FC, by inputs of the simulation", get_args(Inputs), fits)
    most = max(len(row) for row in uses)
    uses = [[*row, *[""] * (most - len(row))] for row in uses]
    print_table("KL from the prior, nats", [f"θ{n}" for n in range(1, most)], uses)
    print_table("R² of single regions by all parameters", list(FIGURES.values()), roles)


def read(args: argparse.Namespace) -> Networks:
    if args.simulated:
        return simulate_people(args.simulated, SIMULATED_REGIONS, 0).networks
    with np.load(args.rest) as rest, np.load(args.structural) as structural:
        return make_networks(
            rest["bold"],
            structural["weights"],
            float(rest["tr"]),
            people=[str(label) for label in rest["subject"]],
            regions=[str(name) for name in rest["region"]],
        )


def variants(args: argparse.Namespace) -> dict[str, Recipe]:
    """Return the recipe of each network by name."""
    base = replace(
        find_recipe(args.recipe), states=PUBLISHED, region_parameters=PUBLISHED
    )
    if args.epochs:
        base = replace(base, epochs=args.epochs)
    recipes = {f"states-{n}": replace(base, states=n) for n in args.states}
    for n in args.parameters:
        recipes[f"parameters-{n}"] = replace(base, region_parameters=n)
    return recipes | {"no-external-input": replace(base, external_inputs=0)}


def fits_of(fitted: Fitted, networks: Networks, simulations: int) -> list[str]:
    """Return the fit of FC for each choice of inputs, averaged over simulations and people."""
    measured = connectivity(networks.series)[:, None]
    inferred = fitted.infer(networks)
    fits = []
    for inputs in get_args(Inputs):
        sessions = simulate(
            fitted.model, networks, inferred, simulations=simulations, inputs=inputs
        )
        fc = np.stack([connectivity(session) for session in sessions])
        fits.append(f"{np.nanmean(fc_fit(measured, fc)):.3f}")
    return fits


def uses_of(fitted: Fitted, networks: Networks) -> list[str]:
    """Return each parameter's KL, mean ± sd over people and regions, by decreasing mean."""
    inferred = fitted.infer(networks)
    kl = latent_kl(inferred.region_mean, inferred.region_sd)
    kl = kl.reshape(-1, kl.shape[-1])
    order = np.argsort(-kl.mean(axis=0))
    by_parameter = kl.T[order]
    return [f"{values.mean():.3f} ± {values.std():.3f}" for values in by_parameter]


def roles_of(fitted: Fitted, networks: Networks) -> list[str]:
    """Return R² of each measure of `FIGURES`; empty if the model lacks it."""
    _, r2 = parameter_effects(fitted.model, networks)
    return [f"{r2[name]:.2f}" if name in r2 else "" for name in FIGURES]


def print_table(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]
) -> None:
    rule = "---|" * (1 + len(columns))
    print(f"\n{title}\n\n| network | {' | '.join(columns)} |\n|{rule}")
    for row in rows:
        print(f"| {' | '.join(row)} |")


if __name__ == "__main__":
    main()
