"""Network models of several numbers of parameters: one command, which resumes.

    python studies/dynamics_sweep.py WORK --simulated 8 --training "--recipe published"
    python studies/dynamics_sweep.py WORK --training "--recipe published" \
        --words "../shared/sip/data --input-arrays REST1.npz REST2.npz SC.npz --array-key …"

Each model is two calls of bids_dtg, which are printed: `group --analysis train` and `evaluate`. As
published (Sip et al. 2023, table 1, figures 7 and 8): 1 to 5 regional parameters, and 3 without an
external input. The same command continues where it was stopped, also in the middle of a training.
WORK has `output` (that of bids_dtg), `sweep.json` (what is done), and `models.tsv`,
`parameters.tsv`, `roles.tsv` and `sweep.png`, made anew after each model. `evaluate` judges models
on people that they were fitted to.
"""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bids_dtg.cli.run import main as bids_dtg
from bids_dtg.cohort.column import BY_PEOPLE, Column
from bids_dtg.cohort.result_table import ResultTable
from bids_dtg.dynamics.parameter_effects import FIGURES
from bids_dtg.files.foreign import read_json_object
from bids_dtg.files.text import read_rows, write_json

SIMULATED_REGIONS = 20
ANALYSES = ("train", "evaluate")
# Rows of `evaluate`'s table of scores: simulations with some inputs, and models to compare with.
INPUTS = ("model", "external only", "network only", "neither")
BASELINES = ("ar_1", "var_1", "factors_1", "group", "own_session")
_FIT = Column("fit_{}", "Pearson r of simulated with measured FC of {}", interval=BY_PEOPLE)
_MODELS = (
    Column("model", "Name of the model, or of a baseline"),
    Column("region_parameters", "Number of regional parameters"),
    Column("external_input", "Whether the model has an external input"),
    Column("simulated_with", "Inputs of the simulated regions, or the baseline"),
    Column("people", "Number of people"),
)
_PARAMETERS = (
    Column("model", "Name of the model"),
    Column("region_parameters", "Number of regional parameters"),
    Column("parameter", "Place of the parameter by its use"),
    Column("kl_mean", "Divergence from the prior, mean over regions of people", unit="nats"),
    Column("kl_sd", "Its standard deviation over regions of people", unit="nats"),
)
_ROLES = (
    Column("model", "Name of the model"),
    Column("region_parameters", "Number of regional parameters"),
    Column("figure", "Measure of simulated single regions"),
    Column("r2", "Share of its variance that a linear fit to all parameters explains"),
)
_MARKERS, _LINES = "osv^", ("--", ":", "-.")
Row = dict[str, Any]


@dataclass(frozen=True)
class Variant:
    """A model of the sweep."""

    parameters: int
    external: bool = True

    @property
    def name(self) -> str:
        bare = "" if self.external else "-bare"
        return f"p{self.parameters}{bare}"

    @property
    def training(self) -> list[str]:
        bare = [] if self.external else ["--no-external-input"]
        given = ["--architecture", "network", "--region-parameters", str(self.parameters)]
        return [*given, *bare]


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("--parameters", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    parser.add_argument("--at", type=int, default=3, help="parameters without an external input")
    parser.add_argument("--training", default="", help="options of bids_dtg for train, as one word")
    parser.add_argument("--evaluation", default="", help="the same for evaluate")
    given = parser.add_mutually_exclusive_group(required=True)
    given.add_argument("--words", help="BIDS_DIR and options of both calls, as one word")
    given.add_argument("--simulated", type=int, metavar="PEOPLE", help="simulate people instead")
    options = parser.parse_args(argv)
    variants = variants_of(options.parameters, options.at)
    sweep = Sweep(
        work=options.work,
        words=given_words(options),
        training=shlex.split(options.training),
        evaluation=shlex.split(options.evaluation),
    )
    source = "simulated people" if options.simulated else "people of --words"
    sweep.begin()
    if options.simulated:
        simulate(options.work / "simulated", options.simulated)
    for number, variant in enumerate(variants, 1):
        print(f"# model {number} of {len(variants)}: {variant.name}", flush=True)
        sweep.run(variant)
        done = [own for own in variants if sweep.has_ended(own)]
        write_results(options.work, {own: sweep.results(own) for own in done}, source)
    print_results(options.work, source)


def variants_of(parameters: Sequence[int], at: int) -> list[Variant]:
    """Return the models, each once, in the order of their training."""
    return list(dict.fromkeys([*map(Variant, parameters), Variant(at), Variant(at, False)]))


def given_words(options: argparse.Namespace) -> list[str]:
    if options.words:
        return shlex.split(options.words)
    folder = options.work / "simulated"
    return [str(folder), "--input-arrays", str(folder / "networks.npz")]


def simulate(folder: Path, people: int) -> None:
    """Write networks of Hopf oscillators, if they are not there."""
    from bids_dtg.dynamics.demo_published import simulate_people
    from bids_dtg.dynamics.phantom.people import write_people

    if not (folder / "people.tsv").exists():  # the last of its files
        write_people(folder, simulate_people(people, SIMULATED_REGIONS, 0))


@dataclass(frozen=True)
class Sweep:
    """The calls of a sweep, and the record of those that have ended."""

    work: Path
    words: Sequence[str]
    training: Sequence[str]
    evaluation: Sequence[str]

    @property
    def record(self) -> Path:
        return self.work / "sweep.json"

    @property
    def options(self) -> dict[str, list[str]]:
        return {
            "words": [*self.words],
            "training": [*self.training],
            "evaluation": [*self.evaluation],
        }

    def begin(self) -> None:
        """Begin a record, or refuse that of a sweep with other options."""
        if not self.record.exists():
            write_json(self.record, {"options": self.options, "done": []})
        elif (known := read_json_object(self.record)["options"]) != self.options:
            differ = [name for name, value in self.options.items() if known.get(name) != value]
            raise SystemExit(
                f"{self.work} has a sweep with other options ({', '.join(differ)}): repeat the "
                "command that began it, or name another folder"
            )

    def run(self, variant: Variant) -> None:
        """Make the calls of a model that have not ended yet."""
        for analysis in ANALYSES:
            call = f"{variant.name} {analysis}"
            done = read_json_object(self.record)["done"]
            if call in done:
                print(f"{call}: done before", flush=True)
                continue
            words = self.call(variant, analysis)
            print(f"$ bids_dtg {shlex.join(words)}", flush=True)
            if code := bids_dtg(words):
                raise SystemExit(code)
            write_json(self.record, {"options": self.options, "done": [*done, call]})

    def has_ended(self, variant: Variant) -> bool:
        return f"{variant.name} {ANALYSES[-1]}" in read_json_object(self.record)["done"]

    def call(self, variant: Variant, analysis: str) -> list[str]:
        folder, *words = self.words
        bundle = self.work / "output" / "group" / f"model-{variant.name}" / "bundle"
        own = {
            "train": [*variant.training, *self.training],
            "evaluate": ["--model", str(bundle), *self.evaluation],
        }
        return [
            *(folder, str(self.work / "output"), "group", "--workflow", "dynamics"),
            *("--analysis", analysis, "--model-name", variant.name, *words, *own[analysis]),
        ]

    def results(self, variant: Variant) -> Path:
        return self.work / "output" / "group" / f"evaluation-{variant.name}"


def write_results(work: Path, folders: Mapping[Variant, Path], source: str) -> None:
    """Write the tables and the figure of the models that are done."""
    scores = [row for variant, folder in folders.items() for row in fits(variant, folder)]
    scores += baselines(next(iter(folders.values())))
    sessions = [key.removeprefix("fit_") for key in scores[0] if key.startswith("fit_")]
    columns = (*_MODELS, *_FIT.each(sessions))
    use = [row for variant, folder in folders.items() for row in uses(variant, folder)]
    roles = [row for variant, folder in folders.items() for row in roles_of(variant, folder)]
    for name, table in {
        "models": ResultTable(columns, scores, "Fit of FC: a row a model and its inputs"),
        "parameters": ResultTable(_PARAMETERS, use, "Use of parameters: a row a parameter"),
        "roles": ResultTable(_ROLES, roles, "Measures of single regions: a row a model"),
    }.items():
        table.write(work / f"{name}.tsv")
    figure = draw(scores, use, roles, sessions[0])
    figure.suptitle(f"Network models of {source}")
    figure.savefig(work / "sweep.png", dpi=120)


def fits(variant: Variant, folder: Path) -> Iterator[Row]:
    """Yield the fit of a model's simulations with all and with some inputs."""
    rows = {row["name"]: row for row in read_rows(folder / "desc-connectivity_scores.tsv")}
    for name in INPUTS:
        if name in rows:
            yield {
                "model": variant.name,
                "region_parameters": variant.parameters,
                "external_input": "yes" if variant.external else "no",
                "simulated_with": "all inputs" if name == "model" else name,
                **fit_of(rows[name]),
            }


def baselines(folder: Path) -> Iterator[Row]:
    for row in read_rows(folder / "desc-connectivity_scores.tsv"):
        if row["name"] in BASELINES:
            yield {"model": row["name"], "simulated_with": row["words"], **fit_of(row)}


def fit_of(row: Mapping[str, str]) -> Row:
    sessions = [
        key.removesuffix("_low") for key in row if key.startswith("fit_") and key.endswith("_low")
    ]
    return {
        "people": int(row["people"]),
        **{key: tuple(float(row[key + end]) for end in ("", "_low", "_high")) for key in sessions},
    }


def uses(variant: Variant, folder: Path) -> Iterator[Row]:
    """Yield the use of each parameter (table 1) of a model that differs in their number alone."""
    if variant == Variant(variant.parameters):
        for row in read_rows(folder / "desc-parameters_kl.tsv"):
            yield {
                "model": variant.name,
                "region_parameters": variant.parameters,
                "parameter": int(row["parameter"].removeprefix("theta")),
                "kl_mean": float(row["kl_mean"]),
                "kl_sd": float(row["kl_sd"]),
            }


def roles_of(variant: Variant, folder: Path) -> Iterator[Row]:
    """Yield how well all parameters explain each measure of simulated regions (figure 7)."""
    if variant == Variant(variant.parameters):
        for row in read_rows(folder / "desc-parameters_roles.tsv"):
            yield {
                "model": variant.name,
                "region_parameters": variant.parameters,
                "figure": row["figure"],
                "r2": float(row["r2"]),
            }


def print_results(work: Path, source: str) -> None:
    """Print the tables as Markdown."""
    print(f"\nFit of FC, {source}\n")
    rows = read_rows(work / "models.tsv")
    sessions = [key for key in rows[0] if key.startswith("fit_") and key + "_low" in rows[0]]
    print(f"| model | simulated with | people | {' | '.join(sessions)} |")
    print("|---" * (3 + len(sessions)) + "|")
    for row in rows:
        cells = [
            f"{float(row[key]):.3f} ({float(row[f'{key}_low']):.3f} to "
            f"{float(row[f'{key}_high']):.3f})"
            for key in sessions
        ]
        print(f"| {' | '.join([row['model'], row['simulated_with'], row['people'], *cells])} |")
    print(f"\nUse of the parameters, KL from the prior in nats (mean ± sd), {source}\n")
    use = read_rows(work / "parameters.tsv")
    most = max(int(row["parameter"]) for row in use)
    print(f"| parameters | {' | '.join(f'θ{n}' for n in range(1, most + 1))} |")
    print("|---" * (1 + most) + "|")
    for number in dict.fromkeys(row["region_parameters"] for row in use):
        own = [row for row in use if row["region_parameters"] == number]
        cells = [f"{float(row['kl_mean']):.3f} ± {float(row['kl_sd']):.3f}" for row in own]
        print(f"| {' | '.join([number, *cells, *[''] * (most - len(own))])} |")
    print(f"\nR² of measures of single regions by all parameters, {source}\n")
    roles = read_rows(work / "roles.tsv")
    figures = list(dict.fromkeys(row["figure"] for row in roles))
    print(f"| parameters | {' | '.join(FIGURES[name] for name in figures)} |")
    print("|---" * (1 + len(figures)) + "|")
    for number in dict.fromkeys(row["region_parameters"] for row in roles):
        own = {row["figure"]: row for row in roles if row["region_parameters"] == number}
        cells = [f"{float(own[name]['r2']):.2f}" for name in figures]
        print(f"| {' | '.join([number, *cells])} |")
    print(f"\n{work / 'sweep.png'}")


def draw(scores: Sequence[Row], use: Sequence[Row], roles: Sequence[Row], session: str) -> Any:
    """Draw the use of parameters, their roles, and the fit by model."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(14, 4.6), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    for place in dict.fromkeys(row["parameter"] for row in use):
        own = [row for row in use if row["parameter"] == place]
        at, mean, sd = (
            [row[key] for row in own] for key in ("region_parameters", "kl_mean", "kl_sd")
        )
        left.errorbar(at, mean, sd, marker="o", capsize=3, label=f"θ{place}")
    left.set(title="Use of parameters (mean, sd)", ylabel="KL from the prior (nats)")
    for name in dict.fromkeys(row["figure"] for row in roles):
        own = [row for row in roles if row["figure"] == name]
        middle.plot(
            [row["region_parameters"] for row in own],
            [row["r2"] for row in own],
            marker="o",
            label=FIGURES[name],
        )
    middle.set(title="Single regions explained by θ", ylabel="R²", ylim=(-0.02, 1.02))
    numbers = sorted({row["region_parameters"] for row in use})
    for axes in (left, middle):
        axes.set(xlabel="number of regional parameters", xticks=numbers)
        axes.legend(fontsize=7)
    draw_fits(right, scores, session)
    return figure


def draw_fits(axes: Any, scores: Sequence[Row], session: str) -> None:
    """Draw the fit of FC: a column a model, a marker the inputs; baselines as lines."""
    models = [row for row in scores if "region_parameters" in row]
    names = list(dict.fromkeys(row["model"] for row in models))
    for number, inputs in enumerate(dict.fromkeys(row["simulated_with"] for row in models)):
        own = [row for row in models if row["simulated_with"] == inputs]
        mean, low, high = np.array([row[f"fit_{session}"] for row in own]).T
        at = [names.index(row["model"]) + 0.15 * (number - 1.5) for row in own]
        axes.errorbar(
            at, mean, (mean - low, high - mean), fmt=_MARKERS[number], markersize=4, label=inputs
        )
    for number, row in enumerate(row for row in scores if "region_parameters" not in row):
        style, colour = _LINES[number % 3], "black" if number > 2 else "grey"
        axes.axhline(
            row[f"fit_{session}"][0], linestyle=style, color=colour, linewidth=1, label=row["model"]
        )
    axes.set_xticks(range(len(names)), names, rotation=60, ha="right", fontsize=7)
    axes.set(title=f"Fit of FC, {session} (95 % over people)", ylabel="Pearson r")
    axes.legend(fontsize=7, loc="upper left", bbox_to_anchor=(1.0, 1.0))


if __name__ == "__main__":
    main()
