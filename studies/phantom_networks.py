"""Kinds of model by voxel, a network among them, on people outside what models assume.

    python studies/phantom_networks.py --work FOLDER [--device cuda] [--processes 8]

Phantoms (version 2) of seeds 11 to 15 and the variants of `phantom_judge.py`, which judges the
kinds that need no grid by parcel. Here people have voxels of 8 mm, two segments of rest and the
partial connectome on 50 ROI maps: 60 to train (a fifth of them to validate, where a kind needs
that), and 20 others to test. Kinds as the program fits them by default; the network has 64
features. The unit of inference is the seed: a figure is the mean over seeds of means over people,
with its 95 % t interval. The work folder keeps all scores: the same command resumes a stopped call.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from explanation import BLOCK, FORM, people_of
from joblib import Parallel, delayed
from phantom_judge import interval_cells
from phantom_match import kept
from real_people import SCORES, fitted, score

from bids_dtg.contrasts.kind import ModelSpace
from bids_dtg.contrasts.phantom.model import Phantom
from bids_dtg.contrasts.phantom.parameters import VARIANTS, VERSION_2
from bids_dtg.settings import ModellingOptions

KINDS = ("linear", "linear-parcel", "local-ridge", "attention-unet")
TRAINING, TEST = 60, 20
SHOWN = {"r - group": 4, "residual r": 3, "identified": 2, "r - own mean": 4}
Scores = Mapping[str, float]  # means of test people


def of_phantom(
    seed: int,
    variant: str,
    size: int,
    test: int,
    kinds: Mapping[str, Path],
    options: ModellingOptions,
    device: str,
) -> dict[str, Scores]:
    """Fit kinds to people of one phantom, and judge them by others; the paths keep scores."""
    if all(path.exists() for path in kinds.values()):
        return {kind: json.loads(path.read_text()) for kind, path in kinds.items()}
    parameters = dataclasses.replace(VERSION_2, **VARIANTS[variant])
    phantom = Phantom(parameters, seed=seed, block=BLOCK)
    training, others = people_of(phantom, size, test)
    space = ModelSpace(phantom.anatomy.places, phantom.roi_maps, "phantom", "", "", FORM)
    contrasts = tuple(map(str, range(len(phantom.design))))

    def judged(kind: str) -> Scores:
        start = time.perf_counter()
        own = fitted(kind, training, space, contrasts, options, device)
        maps = np.stack([own.predict(person) for person in others])
        values = score(maps, training, others).mean(axis=0)
        print(f"{variant} {seed}, {size} people: {kind} {time.perf_counter() - start:.0f} s")
        return dict(zip(SCORES, map(float, values), strict=True))

    return {kind: kept(path, partial(judged, kind)) for kind, path in kinds.items()}


def print_table(found: Mapping[str, Sequence[Mapping[str, Scores]]]) -> None:
    """Print a row for each variant and kind, and who wins."""
    print(f"| people | kind | {' | '.join(SHOWN)} |\n{'|---' * (2 + len(SHOWN))}|")
    for variant, of_seeds in found.items():
        for kind in of_seeds[0]:
            cells = interval_cells([one[kind] for one in of_seeds], SHOWN)
            print("| " + " | ".join([variant, kind, *cells]) + " |")
        for name in ("r - group", "residual r"):
            means = {k: np.mean([one[k][name] for one in of_seeds]) for k in of_seeds[0]}
            print(f"(highest {name}: {max(means, key=lambda kind: means[kind])})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[11, 12, 13, 14, 15])
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--people", type=int, nargs=2, default=[TRAINING, TEST])
    parser.add_argument("--features", type=int, default=ModellingOptions.features)
    parser.add_argument("--epochs", type=int, help="of the network (default: the program's)")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--processes", type=int, default=1, help="phantoms at once")
    args = parser.parse_args()
    options = ModellingOptions(features=args.features, epochs=args.epochs)
    cases = list(itertools.product(VARIANTS, args.seeds))
    sizes = "-".join(map(str, (*args.people, args.features, options.network_epochs)))

    def paths(variant: str, seed: int) -> dict[str, Path]:
        case = f"{VERSION_2.hash[:12]}_{variant.replace(' ', '-')}_{seed}_{sizes}"
        return {kind: args.work / f"{case}_{kind}.json" for kind in args.kinds}

    each = Parallel(args.processes, batch_size=1)(
        delayed(of_phantom)(seed, variant, *args.people, paths(variant, seed), options, args.device)
        for variant, seed in cases
    )
    found: dict[str, list[Mapping[str, Scores]]] = {}
    for (variant, _), scores in zip(cases, each, strict=True):
        found.setdefault(variant, []).append(scores)
    print_table(found)


if __name__ == "__main__":
    main()
