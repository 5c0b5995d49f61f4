"""Draw the publication's figures from the tables and maps that `paper.py` has written.

Nothing is tested or estimated here. Scores, intervals, p and verdicts are read from tables, and the
verdicts are printed on the figures. Figures 2, 4 and 5 show the publication's analyses in a layout
of our own, because the published figures were not available.
"""

from __future__ import annotations

import csv
import dataclasses
import json
import math
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from textwrap import fill
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

import nibabel as nib
import numpy as np
from matplotlib import pyplot as plt
from nilearn.plotting import plot_stat_map
from numpy.typing import NDArray

from bids_dtg import load_bundle
from bids_dtg.contrasts.judging.scores import ANOTHER, BEFORE, LINEAR, OWN_MEAN, RETEST
from bids_dtg.contrasts.judging.scores import GROUP_AVERAGE as GROUP
from bids_dtg.contrasts.metrics import dice_auc
from bids_dtg.files.atomic import write_atomic
from bids_dtg.imaging.places import VoxelPlaces
from bids_dtg.report.pictures import draw_maps

Values = NDArray[np.float64]
Row = Mapping[str, str]

COLOURS = {
    GROUP: "#8a8a8a",
    LINEAR: "#e08a1e",
    RETEST: "#2f8f5b",
    BEFORE: "#8fa0d8",
    OWN_MEAN: "#b05ac0",
    ANOTHER: "#4aa3c7",
}
MODEL_COLOUR = "#20307c"
DPI, WIDTH = 110, 11.0  # inches
SYMLOG = 0.1  # end of the linear part of the publication's scale of diagonality
STRONGEST = 0.25  # share of voxels in the publication's thresholded maps
SAMPLE = "gamblingReward"  # the contrast of the publication's sample people
CUTS_MM = (-20, 12, 44)


@dataclasses.dataclass(frozen=True)
class Results:
    """The results from which figures are drawn."""

    out: Path  # the derivatives
    scores: Path  # folder of the model's scores
    transfer: Path | None  # folder of its scores in a second cohort, if there is one
    statmaps: Path  # measured maps
    model: str  # value for `--model`
    wanted: Sequence[str]  # contrasts to show, if they exist

    def group(self, name: str) -> Path:
        """Return the folder of an analysis."""
        return self.out / "group" / name

    @cached_property
    def contrasts(self) -> tuple[str, ...]:
        """The contrasts to show: the wanted ones, or else the first ones."""
        scored = _order(self.scores)
        shown = [name for name in self.wanted if name in scored]
        return tuple(shown or scored[: len(self.wanted)])

    @cached_property
    def judged(self) -> tuple[str, ...]:
        """The people who were judged."""
        rows = table(self.scores / "desc-people_scores.tsv")
        return tuple(row["participant_id"] for row in rows)

    @cached_property
    def places(self) -> VoxelPlaces:
        """The model's voxels."""
        places = load_bundle(self.model).places
        if not isinstance(places, VoxelPlaces):
            raise SystemExit(
                f"{self.model} has no voxels: these figures are of maps of volumes"
            )
        return places

    @cached_property
    def measured(self) -> dict[tuple[str, str], Path]:
        """The measured map of each scored person and contrast."""
        paths = {}
        for row in table(self.scores / "desc-targets_files.tsv"):
            if row["use"] == "target":
                first_file, *_ = row["files"].split(";")
                person, contrast = row["participant_id"], row["contrast"]
                paths[person, contrast] = self.statmaps / first_file
        return paths

    @cached_property
    def training(self) -> tuple[str, ...]:
        """The people whose mean map is the group average; empty: everybody else."""
        path = self.scores / "desc-split_participants.tsv"
        rows = table(path) if path.exists() else []
        return tuple(row["participant_id"] for row in rows if row["set"] == "training")

    def read(self, path: Path) -> NDArray[np.float32]:
        """Read a map at the model's voxels, (voxels,)."""
        return np.nan_to_num(self.places.read(path))

    def predicted(self, person: str, contrast: str) -> NDArray[np.float32]:
        """Read a person's predicted map, (voxels,)."""
        name = f"*contrast-{contrast}_stat-z_desc-synthetic_statmap.nii.gz"
        return self.read(min((self.out / person).rglob(name)))

    def average(self, contrast: str, without: str) -> NDArray[np.float32]:
        """Return the mean measured map of the training people, or of all others, (voxels,)."""
        people = self.training or [name for name, _ in self.measured if name != without]
        paths = [self.measured.get((name, contrast)) for name in dict.fromkeys(people)]
        maps = [self.read(path) for path in paths if path]
        return np.mean(maps, axis=0, dtype=np.float32)

    @cached_property
    def simulated(self) -> bool:
        """Whether the people are simulated."""
        path = self.statmaps / "dataset_description.json"
        return path.exists() and bool(json.loads(path.read_text()).get("Simulated"))

    def titled(self, words: str) -> str:
        """Return a title that says how many people were judged, and whether they are simulated."""
        mark = "SIMULATED PEOPLE. " if self.simulated else ""
        return f"{mark}{words} (n = {len(self.judged)} judged)"


def table(path: Path) -> list[Row]:
    """Read a table; a missing one has no rows."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def number(text: str | None) -> float:
    """Return a number in a table; NaN for n/a."""
    return math.nan if text in (None, "", "n/a") else float(text)


def with_interval(row: Row, score: str) -> tuple[float, float, float]:
    """Return a score in a row of a table, and the ends of its interval."""
    low, high = row[f"{score}_low"], row[f"{score}_high"]
    return number(row[score]), number(low), number(high)


def contrast_table(scores: Path) -> list[Row]:
    """Read the scores of each contrast and model."""
    return table(scores / "desc-contrasts_scores.tsv")


def comparisons(scores: Path) -> list[Mapping[str, Any]]:
    """Read the comparisons of the model with its baselines, with verdicts."""
    facts = json.loads((scores / "desc-models_scores.json").read_text())
    return list(facts["comparisons"])


def model_name(scores: Path) -> str:
    """Return the name of the judged model in the tables."""
    names = [row["model"] for row in table(scores / "desc-models_scores.tsv")]
    return next(name for name in names if name.startswith(("model", "tuned")))


def verdict_lines(
    scores: Path, wanted: Sequence[str] = ("r", "residual_r")
) -> Iterator[str]:
    """Yield a line on the model compared with each baseline."""
    for row in comparisons(scores):
        if row["score"] not in wanted or row["against"] not in COLOURS:
            continue
        mean, low, high = row["difference"]
        if mean is None:
            continue
        where = "BELOW" if mean < 0 else "above"
        yield (
            f"{row['score'].replace('_', ' ')} {where} {row['against']} by {abs(mean):.3f} "
            f"[{_text(low)}, {_text(high)}]: {row['verdict']}"
        )


def _text(value: float | None) -> str:
    return "n/a" if value is None else f"{value:+.3f}"


def matrices(scores: Path) -> dict[str, Values]:
    """Read each model's matrices, (contrasts, measured people, predicted people)."""
    by_model = {}
    for path in sorted((scores / "arrays" / "matrices").glob("*.npy")):
        facts = json.loads(path.with_suffix(".json").read_text())["facts"]
        by_model[facts["model"]] = np.load(path).astype(np.float64)
    return by_model


def shown_models(scores: Path) -> tuple[str, ...]:
    """Return the models to show, baselines first."""
    names = [row["model"] for row in table(scores / "desc-models_scores.tsv")]
    baselines = [name for name in (GROUP, LINEAR, RETEST, BEFORE) if name in names]
    return (*baselines, model_name(scores))


def _colour(name: str) -> str:
    return COLOURS.get(name, MODEL_COLOUR)


def _order(scores: Path) -> list[str]:
    """Return the scored contrasts, in the order of the matrices."""
    return list(dict.fromkeys(row["contrast"] for row in contrast_table(scores)))


def draw_scores(
    results: Results, scores: Path, title: str, only: Sequence[str] | None = None
) -> Any:
    """Draw r and diagonality by contrast and model, as in figures 1c and 1d."""
    order = _order(scores)
    models = shown_models(scores)
    r_of_people = matrices(scores)
    wanted = [name for name in results.contrasts if name in order]
    contrasts = only or wanted or order
    figure, (upper, lower) = plt.subplots(
        2, 1, figsize=(WIDTH, 7.6), sharex=True, height_ratios=(1.25, 1)
    )
    rows = {(row["contrast"], row["model"]): row for row in contrast_table(scores)}
    for place, contrast in enumerate(contrasts):
        for n, name in enumerate(models):
            x = place + (n - (len(models) - 1) / 2) * 0.19
            colour = _colour(name)
            if name in r_of_people:
                rs = np.diagonal(r_of_people[name][order.index(contrast)])
                upper.plot([x] * len(rs), rs, ".", ms=3, alpha=0.5, color=colour)
            row = rows.get((contrast, name), {})  # not every model has each contrast
            r, index = number(row.get("r")), number(row.get("index"))
            upper.plot(x, r, "_", ms=15, mew=2.5, color=colour)
            if math.isnan(index):
                lower.text(x, 0, "n/a", size=6, ha="center", va="bottom")
            else:
                lower.bar(x, index, 0.17, color=colour)
    for name in models:
        upper.plot([], [], "_", ms=15, mew=2.5, color=_colour(name), label=name)
    upper.set_ylabel("r of predicted and measured map")
    upper.legend(
        ncols=len(models), loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False
    )
    lower.set_yscale("symlog", linthresh=SYMLOG)
    lower.axhline(0, color="black", lw=0.6)
    lower.set_ylabel("index: r less that of others'\npredictions (symlog)")
    lower.set_xticks(range(len(contrasts)), contrasts, rotation=20, ha="right")
    people = len(next(iter(r_of_people.values()))[0])
    mark = "SIMULATED PEOPLE. " if results.simulated else ""
    figure.suptitle(f"{mark}{title} (n = {people} judged)", x=0.01, ha="left", size=12)
    _foot(figure, f"{models[-1]}, mean of all contrasts:", verdict_lines(scores))
    return figure


def _head(figure: Any, results: Results, title: str) -> None:
    figure.suptitle(results.titled(title), x=0.01, ha="left", size=12)


def _foot(figure: Any, words: str, lines: Iterator[str]) -> None:
    """Write lines from the tables below a figure."""
    text = "\n".join([words, *lines])
    if "\n" not in text:
        text += " no rival has this score"
    figure.text(0.01, 0.01, text, size=7.5, va="bottom", family="monospace")
    height = 0.022 * (text.count("\n") + 1) * 7.0 / figure.get_figheight()
    with warnings.catch_warnings():
        # Axes of brains stay where nilearn puts them.
        warnings.filterwarnings(
            "ignore", "This figure includes Axes that are not compatible"
        )
        figure.tight_layout(rect=(0, height + 0.01, 1, 0.97))


def figure_1c(results: Results) -> Any:
    return draw_scores(results, results.scores, "1c. Reconstruction and diagonality")


def figure_1d(results: Results) -> Any:
    """Draw scores in a second cohort; if the model was tuned there, only untuned contrasts."""
    if results.transfer is None:
        return None
    rows = table(results.transfer / "desc-transfer_scores.tsv")
    if not rows:
        words = "1d. The model in a second cohort, not tuned"
        return draw_scores(results, results.transfer, words)
    # Rows of means over contrasts have names of several words.
    contrasts = [row for row in rows if " " not in row["contrast"]]
    tuned = [row["contrast"] for row in contrasts if row["tuned"] == "true"]
    untuned = [row["contrast"] for row in contrasts if row["tuned"] == "false"]
    words = (
        f"1d. Second cohort, tuned to {', '.join(tuned)}: contrasts that were not tuned"
    )
    figure = draw_scores(results, results.transfer, words, untuned)
    mean = rows[0]
    words = (
        f"{mean['contrast']}: r {mean['before']} before, {mean['after']} after, difference "
        f"{mean['difference']} [{mean['difference_low']}, {mean['difference_high']}]: "
        f"{mean['verdict']}"
    )
    figure.text(0.01, 0.945, words, size=8)
    return figure


def figure_2(results: Results) -> Any:
    """Draw how well predictions identify people: matrices, and the share of people identified."""
    r_of_people = matrices(results.scores)
    models = [name for name in shown_models(results.scores) if name in r_of_people]
    figure, axes = plt.subplots(1, len(models) + 1, figsize=(WIDTH, 3.4))
    for axis, name in zip(axes, models, strict=False):
        mean = np.nanmean(r_of_people[name], axis=0)
        low = np.nanmin(mean)
        high = max(np.nanmax(mean), low + 1e-6)
        shown = axis.imshow(mean, cmap="viridis", vmin=low, vmax=high)
        axis.set_title(fill(name, 22), size=9)
        axis.set_xlabel("prediction for")
        axis.set_xticks([])
        axis.set_yticks([])
        figure.colorbar(shown, ax=axis, fraction=0.046)
    axes[0].set_ylabel("measured map of")
    last = axes[-1]
    rows = table(results.scores / "desc-models_scores.tsv")
    by_model = {row["model"]: row for row in rows}
    for place, name in enumerate(models):
        share, low, high = with_interval(by_model[name], "identification")
        if math.isnan(share):
            last.text(place, 0.02, "n/a", ha="center", size=7)
            continue
        last.bar(place, share, color=_colour(name))
        last.plot([place, place], [low, high], color="black", lw=1)
    last.axhline(1 / len(results.judged), color="black", ls=":", lw=1)
    names = [fill(name, 22) for name in models]
    last.set_xticks(range(len(models)), names, rotation=30, ha="right", size=7)
    last.set_ylim(0, 1.02)
    last.set_title("identified; dots: chance", size=8)
    title = "2. Is a prediction its person's? r, mean of contrasts; scales differ"
    _head(figure, results, title)
    verdicts = verdict_lines(results.scores, ("identification",))
    _foot(figure, f"{models[-1]}, identified, against:", verdicts)
    return figure


def figure_3a(results: Results) -> Any:
    """Draw the maps of the most and the least typical person."""
    contrast = SAMPLE if SAMPLE in results.contrasts else results.contrasts[0]
    rows = []
    for row in table(results.scores / "desc-people_scores.tsv"):
        has_map = (row["participant_id"], contrast) in results.measured
        if has_map and not math.isnan(number(row["typicality"])):
            rows.append(row)
    rows.sort(key=lambda row: number(row["typicality"]))
    columns = [("atypical", rows[0]), ("typical", rows[-1])]
    figure, axes = plt.subplots(6, 2, figsize=(WIDTH, 9.4))
    for column, (word, row) in enumerate(columns):
        person = row["participant_id"]
        truth = results.read(results.measured[person, contrast])
        shown = {
            "measured": truth,
            "predicted": results.predicted(person, contrast),
            GROUP: results.average(contrast, person),
        }
        title = f"{word}: {person}, typicality {row['typicality']}\n"
        axes[0, column].set_title(title, size=10)
        for line, (name, values) in enumerate(shown.items()):
            auc = float(dice_auc(values[None], truth[None])[0])
            note = "" if name == "measured" else f", Dice AUC {auc:.3f}"
            _map(axes[2 * line, column], results, values, f"{name}{note}")
            least = np.quantile(np.abs(values), 1 - STRONGEST)
            strong = np.where(np.abs(values) > least, values, 0)
            _map(axes[2 * line + 1, column], results, strong, "the strongest 25 %")
    cuts = ", ".join(map(str, CUTS_MM))
    _head(figure, results, f"3a. {contrast} at z = {cuts} mm: two people")
    words = "Each map has its own scale. Two people are no evidence; the tables judge everybody:"
    _foot(figure, words, verdict_lines(results.scores))
    return figure


def _map(axis: Any, results: Results, values: NDArray[np.floating], title: str) -> None:
    volume = results.places.volume(np.asarray(values, np.float32))
    axis.set_axis_off()
    plot_stat_map(
        nib.Nifti1Image(volume, results.places.grid.affine),
        axes=axis,
        display_mode="z",
        cut_coords=list(CUTS_MM),
        vmax=float(np.quantile(np.abs(values), 0.99)) or 1.0,
        threshold=1e-6,
        cmap="RdBu_r",
        colorbar=False,
        black_bg=False,
        annotate=False,
    )
    axis.text(0.0, 1.02, title, size=8, transform=axis.transAxes)


def figure_3b(results: Results) -> bytes | None:
    """Draw the mean predicted and the mean measured map of each contrast."""
    folder = results.out / "group"
    comparison = table(folder / "desc-measured_comparison.tsv")
    agreement = {row["contrast"]: row for row in comparison}
    rows: dict[str, NDArray[np.floating]] = {}
    for contrast in results.contrasts:
        row = agreement.get(contrast)
        if row is None:
            continue
        path = next(folder.glob(f"*contrast-{contrast}_*desc-groupMean_*.nii.gz"))
        paths = [results.measured.get((person, contrast)) for person in results.judged]
        measured = np.mean([results.read(file) for file in paths if file], axis=0)
        for name, values in (("predicted", results.read(path)), ("measured", measured)):
            end = float(np.quantile(np.abs(values), 0.99)) or 1.0
            words = f"{contrast}, {name} (1 = {end:.2g} z)"
            if name == "predicted":
                r, dice = number(row["r"]), number(row["dice"])
                words += f": r {r:.3f}, Dice AUC {dice:.3f}"
            rows[words] = np.clip(values / end, -1, 1)
    if not rows:
        return None
    return draw_maps(
        rows,
        results.places,
        title=results.titled("3b. Group maps"),
        units="share of the end",
    )


def figure_3c(results: Results) -> Any:
    """Draw people's maps as points, by contrast."""
    folder = results.group("embed")
    rows = table(folder / "desc-maps_coordinates.tsv")
    embedded = {row["features"] for row in rows}
    kinds = [kind for kind in ("measured", "maps") if kind in embedded]
    if not kinds:
        return None
    clusters = [
        row
        for row in table(folder / "desc-embedding_clusters.tsv")
        if row["points"] == "maps" and row["features"] in kinds
    ]
    umap = any(not math.isnan(number(row["umap1"])) for row in rows)
    x_name, y_name = ("umap1", "umap2") if umap else ("pc1", "pc2")
    figure, axes = plt.subplots(1, len(kinds), figsize=(WIDTH, 5.6), squeeze=False)
    for axis, kind in zip(axes[0], kinds, strict=True):
        of_kind = [row for row in rows if row["features"] == kind]
        names = list(dict.fromkeys(row["contrast"] for row in rows))
        for place, name in enumerate(names):
            points = [row for row in of_kind if row["contrast"] == name]
            axis.plot(
                [number(row[x_name]) for row in points],
                [number(row[y_name]) for row in points],
                "o",
                ms=5,
                alpha=0.8,
                color=plt.colormaps["turbo"]((place + 0.5) / len(names)),
                label=name if len(names) <= 12 else None,
            )
        axis.set_xlabel(x_name)
        axis.set_ylabel(y_name)
        title = "predicted maps" if kind == "maps" else "measured maps"
        axis.set_title(f"{title}: {_variance_words(clusters, kind)}", size=10)
    axes[0, -1].legend(fontsize=7, loc="best")
    method = "UMAP" if umap else "no UMAP here: PCA"
    _head(figure, results, f"3c. Maps in two dimensions ({method})")
    lines = (
        f"{row['features']:9s} by {row['label']}: silhouette {number(row['silhouette']):+.2f}, "
        f"p {row['p']}"
        for row in clusters
        if row["label"] != "n/a"
    )
    words = "Predicted maps cluster more where a model predicts little but the mean:"
    _foot(figure, words, lines)
    return figure


def _variance_words(clusters: Sequence[Row], kind: str) -> str:
    """Say how much of the variance of a kind of maps is between contrasts and people."""
    rows = [row for row in clusters if row["features"] == kind]
    rows = [row for row in rows if row["between_people"] != "n/a"]
    shares = rows[-1] if rows else {}
    contrasts = 100 * number(shares.get("between_contrasts"))
    people = 100 * number(shares.get("between_people"))
    return f"variance between contrasts {contrasts:.0f} %, people {people:.0f} %"


def figure_4(results: Results) -> Any:
    """Draw how well phenotypes are predicted, from each set of features."""
    scores = table(results.group("phenotypes") / "desc-phenotypes_scores.tsv")
    rows = [row for row in scores if row["left_out"] == "families"]
    names = list(dict.fromkeys(row["phenotype"] for row in rows))
    if not names:
        return None
    figure, axes = plt.subplots(1, len(names), figsize=(WIDTH, 6.2), squeeze=False)
    for axis, name in zip(axes[0], names, strict=True):
        of_phenotype = [
            row for row in rows if row["phenotype"] == name and row["features"] in _SETS
        ]
        has_r = any(not math.isnan(number(row["r"])) for row in of_phenotype)
        score = "r" if has_r else "auc"
        for place, (features, colour) in enumerate(_SETS.items()):
            points = [row for row in of_phenotype if row["features"] == features]
            for row in points:
                value, *ends = with_interval(row, score)
                x = float(place)
                if len(points) > 1:
                    x += 0.12 * math.sin(hash_of(row["contrast"]))
                axis.plot(x, value, "o", ms=4, color=colour, alpha=0.8)
                if len(points) == 1:
                    axis.plot([x, x], ends, color=colour, lw=1)
        axis.axhline(0.0 if score == "r" else 0.5, color="black", ls=":", lw=0.8)
        axis.set_xticks(range(len(_SETS)), list(_SETS), rotation=25, ha="right")
        axis.set_title(name)
        axis.set_ylabel(f"{score} in people left out")
    title = "4. Phenotypes from maps and from the connectome: a point a contrast"
    _head(figure, results, title)
    words = "Against edges, verdicts over all contrasts:"
    _foot(figure, words, _phenotype_words(results))
    return figure


_SETS = {
    "edges": "#8a8a8a",
    "maps": MODEL_COLOUR,
    "regions": "#4aa3c7",
    "measured": "#2f8f5b",
}


def hash_of(text: str) -> int:
    """Return a number for a text, the same in every run."""
    return sum(map(ord, text))


def _difference_rows(results: Results) -> list[Row]:
    return table(results.group("phenotypes") / "desc-phenotypes_differences.tsv")


def _phenotype_words(results: Results) -> Iterator[str]:
    """Yield, for each phenotype, how often each verdict was given."""
    verdicts: dict[str, Counter[str]] = {}
    for row in _difference_rows(results):
        name = f"{row['phenotype']}, {row['features']} - {row['minus']}"
        verdicts.setdefault(name, Counter())[row["verdict"]] += 1
    for name, counts in verdicts.items():
        words = ", ".join(f"{verdict} {times}" for verdict, times in counts.items())
        yield f"{name}: {words}"


def figure_5(results: Results) -> Any:
    """Draw the gain of maps over the connectome, and the strongest associations."""
    rows = [row for row in _difference_rows(results) if row["features"] == "maps"]
    lines = list(_association_lines(results))
    if not rows or not lines:
        return None
    sizes = {"figsize": (WIDTH, 6.4), "width_ratios": (1.3, 1)}
    figure, (gains, associations) = plt.subplots(1, 2, **sizes)
    _draw_gains(gains, rows)
    associations.set_axis_off()
    text = "\n".join(fill(line, 62, subsequent_indent="    ") for line in lines)
    text = f"strongest association of each test\n\n{text}"
    associations.text(0, 1, text, va="top", size=7)
    _head(figure, results, "5. What predicted maps add to the connectome")
    _foot(figure, "Verdicts:", _phenotype_words(results))
    return figure


def _association_lines(results: Results) -> Iterator[str]:
    """Yield a line on the strongest association of each test."""
    for folder in sorted((results.out / "group").glob("stats-*")):
        phenotype = folder.name.removeprefix("stats-")
        for row in table(folder / "desc-tests_summary.tsv"):
            yield (
                f"{phenotype}, {row['features']} {row['contrast']}: {row['name']} r "
                f"{number(row['r']):+.2f}, p of all places {row['p_fwe']}"
            )


def _draw_gains(axis: Any, rows: Sequence[Row]) -> None:
    """Draw how much better than with each rival a phenotype is predicted from maps."""
    labels = list(dict.fromkeys(f"{r['phenotype']}: {r['contrast']}" for r in rows))
    rivals = list(dict.fromkeys(row["minus"] for row in rows))
    for place, rival in enumerate(rivals):
        colour = plt.colormaps["Dark2"](place)
        for row in rows:
            if row["minus"] != rival:
                continue
            label = f"{row['phenotype']}: {row['contrast']}"
            y = labels.index(label) + 0.22 * (place - 1)
            difference, *ends = with_interval(row, "difference")
            axis.plot(ends, [y, y], color=colour, lw=1)
            axis.plot(difference, y, "o", ms=3, color=colour)
        axis.plot([], [], "o-", ms=3, lw=1, color=colour, label=rival)
    axis.axvline(0, color="black", ls=":", lw=0.8)
    axis.set_yticks(range(len(labels)), labels, size=7)
    axis.set_xlabel("score of the maps less that of others, 95 % interval")
    above = {"loc": "lower center", "bbox_to_anchor": (0.5, 1.0)}
    axis.legend(fontsize=7, frameon=False, **above)


def figure_tissues(results: Results) -> Any:
    """Draw the scores of each tissue, as in the supplement's tables."""
    parts = table(results.scores / "desc-parts_scores.tsv")
    rows = [row for row in parts if row["r"] != "n/a"]
    names = [row["part"] for row in rows]
    shown = (
        ("r", "ceiling", "r (dashes: noise ceiling)"),
        ("r_minus_group_average", "", "r less that of the group average"),
        ("residual_r", "residual_ceiling", "residual r"),
    )
    figure, axes = plt.subplots(1, len(shown), figsize=(WIDTH, 4.6))
    for axis, (score, ceiling, title) in zip(axes, shown, strict=True):
        for place, row in enumerate(rows):
            value, low, high = with_interval(row, score)
            colour = "#c9302a" if value < 0 else MODEL_COLOUR
            axis.bar(place, value, color=colour, width=0.6)
            axis.plot([place, place], [low, high], color="black", lw=1)
            if ceiling:
                axis.plot(place, number(row[ceiling]), "_", ms=18, mew=2, color="black")
        axis.axhline(0, color="black", lw=0.6)
        axis.set_xticks(range(len(rows)), names, rotation=30, ha="right")
        axis.set_title(title, size=10)
    _head(figure, results, "Supplement. Scores by tissue; 95 % over people")
    below = [row["part"] for row in rows if number(row["r_minus_group_average"]) < 0]
    words = "no part is below"
    if below:
        words = f"BELOW the group average: {', '.join(below)}"
    words += ". No part has a verdict of its own; all places:"
    _foot(figure, words, verdict_lines(results.scores))
    return figure


FIGURES = {
    "figure-1c": figure_1c,
    "figure-1d": figure_1d,
    "figure-2": figure_2,
    "figure-3a": figure_3a,
    "figure-3b": figure_3b,
    "figure-3c": figure_3c,
    "figure-4": figure_4,
    "figure-5": figure_5,
    "supplement-tissues": figure_tissues,
}


def draw_all(results: Results, folder: Path) -> list[Path]:
    """Draw each figure whose results exist, as PNG; return the paths."""
    folder.mkdir(exist_ok=True)
    paths = []
    for name, draw in FIGURES.items():
        figure = draw(results)
        path = folder / f"{name}.png"
        if figure is None:
            path.unlink(missing_ok=True)
            print(f"{name}: not drawn, as its results do not exist", flush=True)
            continue
        if isinstance(figure, bytes):
            write_atomic(path, figure)
        else:
            figure.savefig(path, dpi=DPI)
            plt.close(figure)
        paths.append(path)
    return paths
