"""Compare network models over the same people: each figure, and differences with intervals.

    OMP_NUM_THREADS=1 python studies/dynamics_unseen.py --bundle FOLDER [FOLDER ...] \
        --data ../shared/sip/data --people 31-40 [--simulations 20] [--data-set NAME]

A bundle may be of an amortised model that never saw the people, or of a published form that was
fitted to them (their labels and `--data-set` say where they are in its tables). Data: series of two
sessions and structural connectomes, as docs/evidence/dynamics.md has them. People are numbered
from 1 in the order of the file. A difference is the first bundle less another one, person by
person, judged as all differences are (`bids_dtg.stats.verdict`). Baselines are beside them.
"""

from __future__ import annotations

import argparse
import resource
import time
from pathlib import Path

import numpy as np

from bids_dtg.dynamics.bundle.bundle import NetworkBundle, load_network_bundle
from bids_dtg.dynamics.judging.unseen import Figures, baseline_figures, figures_of
from bids_dtg.dynamics.networks import Networks, make_networks
from bids_dtg.stats.paired import Interval, bootstrap_interval
from bids_dtg.stats.verdict import judge_differences


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bundle", type=Path, nargs="+", required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--people", required=True, help="first and last, from 1: 31-40")
    parser.add_argument("--simulations", type=int, default=20)
    parser.add_argument("--data-set", help="that people are hashed with; default: the bundle's")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    first, last = map(int, options.people.split("-"))
    sessions = {
        name: people_of(options.data, name, slice(first - 1, last)) for name in ("REST1", "REST2")
    }
    labels = next(iter(sessions.values())).people
    print(f"{len(labels)} people: {', '.join(labels)}\n")
    columns: dict[str, Figures] = {}
    for path in options.bundle:
        started = time.process_time()
        bundle = load_network_bundle(path)
        known = bundle.known(labels, options.data_set)
        require_known(bundle, labels, known)
        name = f"{bundle.card.name} ({bundle.part.recipe_name})"
        name = name if name not in columns else str(path)
        figures = figures_of(
            bundle.model(), sessions, known, simulations=options.simulations, seed=options.seed
        )
        columns[name] = figures
        seen = sum(label in known for label in labels)
        print(
            f"- {name}: {seen} of the people were fitted to; "
            f"{time.process_time() - started:.0f} CPU s"
        )
    started = time.process_time()
    simple = baseline_figures(sessions, seed=options.seed)
    print(f"- baselines: {time.process_time() - started:.0f} CPU s")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"- peak memory: {peak:.0f} MB\n")
    print_values(columns | {name: figures for name, (_, figures) in simple.items()})
    print_differences(columns)


def people_of(folder: Path, session: str, which: slice) -> Networks:
    held = np.load(folder / f"bold_{session}_LR_50.npz")
    counts = np.load(folder / "sc_50.npz")
    if not np.array_equal(held["subject"], counts["subject"]):
        raise SystemExit(f"series and connectomes in {folder} are of other people")
    return make_networks(
        held["bold"][which],
        counts["weights"][which],
        float(held["tr"]),
        people=[str(label) for label in held["subject"][which]],
        regions=[str(name) for name in held["region"]],
    )


def require_known(bundle: NetworkBundle, labels: tuple[str, ...], known: tuple[str, ...]) -> None:
    if bundle.part.structural != "linear":
        raise SystemExit(f"{bundle.path} has structural connectomes {bundle.part.structural}")
    strangers = [label for label in labels if label not in known]
    if strangers and not bundle.part.recipe.amortised:
        raise SystemExit(f"{bundle.path} knows only whom it was fitted to, not {strangers}")


def print_values(columns: dict[str, Figures]) -> None:
    rows = list(dict.fromkeys(figure for own in columns.values() for figure in own))
    print("| figure | session | " + " | ".join(columns) + " |")
    print("|---|---|" + "---|" * len(columns))
    for figure in rows:
        cells = [
            words(bootstrap_interval(own[figure])) if figure in own else ""
            for own in columns.values()
        ]
        print(f"| {figure.name} | {figure.session} | " + " | ".join(cells) + " |")


def print_differences(columns: dict[str, Figures]) -> None:
    (first, own), *others = columns.items()
    for name, figures in others:
        print(f"\n{first} beside {name}; above 0: {first} is better\n")
        print("| figure | session | advantage | verdict |")
        print("|---|---|---|---|")
        for figure in own:
            if figure in figures:
                sign = -1 if figure.smaller_is_better else 1
                found = judge_differences(sign * (own[figure] - figures[figure]))
                cells = (figure.name, figure.session, words(found.difference), found.word)
                print(f"| {' | '.join(cells)} |")


def words(found: Interval) -> str:
    return f"{found.mean:.3f} ({found.low:.3f} to {found.high:.3f})"


if __name__ == "__main__":
    main()
