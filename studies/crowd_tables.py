"""What statistics over 10,000 people take: time and peak memory of `associate` and `phenotypes`.

    nice python studies/crowd_tables.py [--people 10000] [--parcels 19] [--analyses ...]

1. An output folder of simulated people, as the participant level writes it: one person goes through
   that level with a tiny model, the others' files are that person's with values of their own. Each
   has a table of regions (47 contrasts by parcels), the correlations between 50 ROI series, figures
   of the run, and one map, which is a link to the same for all. Families of one to four, five sites
   and a phenotype of which the people's 20 hidden factors explain 30 %.
2. The analyses as they are typed, each in a process of its own: wall clock, and the peak memory
   that the operating system reports of it.
3. The dual form: a memory-mapped table of as many people and twice as many columns is read to the
   kernel of people by people, and one repeat of two folds is predicted.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nibabel as nib
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests/builders"))

from written_cohort import MODEL, WrittenCohort

FACTORS, SHARE, SITES, ROIS, CONTRASTS = 20, 0.3, 5, 50, 47
ANALYSES = {
    "associate": ["--feature-sets", "regions", "--permutations", "1000"],
    "phenotypes": [
        *("--feature-sets", "regions", "--permutations", "100", "--repeats", "1", "--folds", "5"),
    ],
}


class CrowdWriter(WrittenCohort):
    """Writes many people with few system calls."""

    def __init__(self, folder: Path, parcels: int) -> None:
        self.number_of_parcels = parcels
        super().__init__(folder, rois=ROIS, contrasts=CONTRASTS)
        assert self.run("--atlases", self.atlas) == 0

    def _write_atlas(self, shape: tuple[int, int, int], affine: np.ndarray) -> None:
        image = np.zeros(shape, np.int16)
        inside = self.bundle.places.mask
        image[inside] = np.arange(inside.sum()) % self.number_of_parcels + 1
        nib.save(nib.Nifti1Image(image, affine), self.atlas)

    def write_crowd(self, people: int) -> None:
        """Write everybody's files and the table of participants."""
        rng = np.random.default_rng(0)
        files = self._files()
        template, columns = self._region_template(files["regions"].read_text())
        header = "\t".join(f"roi{number:02d}" for number in range(1, ROIS + 1))
        matrix = header + "\n" + "\n".join(["\t".join(["%.6f"] * ROIS)] * ROIS) + "\n"
        upper = np.triu_indices(ROIS, 1)
        weights = rng.standard_normal((FACTORS, columns)) / np.sqrt(FACTORS)
        edge_weights = 0.1 * rng.standard_normal((FACTORS, len(upper[0]))) / np.sqrt(FACTORS)
        factors = rng.standard_normal((people, FACTORS))
        for number in range(people):
            regions = factors[number] @ weights + rng.standard_normal(columns)
            edges = np.eye(ROIS)
            edges[upper] = factors[number] @ edge_weights + 0.1 * rng.standard_normal(len(upper[0]))
            edges = np.maximum(edges, edges.T) + np.minimum(edges, edges.T) - np.eye(ROIS)
            texts = {
                "regions": template % tuple(regions.tolist()),
                "edges": matrix % tuple(edges.ravel().tolist()),
                "quality": self._with_motion(files["quality"], rng.gamma(4, 0.04), number),
            }
            self._write_person(f"P{number:05d}", files, texts)
        subprocess.run(["rm", "-r", str(self.out / f"sub-{MODEL}")], check=True)
        score = np.sqrt(SHARE) * factors.mean(axis=1) * np.sqrt(FACTORS)
        score += np.sqrt(1 - SHARE) * rng.standard_normal(people)
        families = np.repeat(np.arange(people), rng.integers(1, 5, people))[:people]
        labels = [f"P{number:05d}" for number in range(people)]
        table = {
            "family_id": families.tolist(),
            "site": rng.integers(SITES, size=people).tolist(),
            "age": rng.integers(20, 40, people).tolist(),
            "score": score.round(4).tolist(),
        }
        lines = ["\t".join(("participant_id", *table))]
        for label, *cells in zip(labels, *table.values(), strict=True):
            lines.append("\t".join((f"sub-{label}", *map(str, cells))))
        (self.out / "phenotypes.tsv").write_text("\n".join(lines) + "\n")

    def _files(self) -> dict[str, Path]:
        folder = self.out / f"sub-{MODEL}"
        (regions,) = folder.rglob("*_desc-regions_statmap.tsv")
        (edges,) = folder.rglob("*_relmat.tsv")
        (quality,) = folder.rglob("*task-rest_qc.tsv")
        image = min(folder.rglob("*_desc-synthetic_statmap.nii.gz"))
        kept = self.folder / "map.nii.gz"
        os.link(image, kept)
        return {
            "regions": regions,
            "edges": edges,
            "quality": quality,
            "image": image,
            "sidecar": image.with_name(image.name.replace(".nii.gz", ".json")),
            "set": folder / f"sub-{MODEL}_task-rest_statmap.json",
            "kept": kept,
        }

    def _region_template(self, text: str) -> tuple[str, int]:
        header, *rows = (line.split("\t") for line in text.splitlines())
        mean = header.index("mean")
        lines = ["\t".join(header)]
        for row in rows:
            lines.append("\t".join([*row[:mean], "%.6g", *row[mean + 1 :]]))
        return "\n".join(lines) + "\n", len(rows)

    def _with_motion(self, source: Path, fd_mean: float, number: int) -> str:
        header, row = (line.split("\t") for line in self._text(source).splitlines())
        row[header.index("fd_mean")] = f"{fd_mean:.6f}"
        row[0] = f"sub-P{number:05d}"
        return "\t".join(header) + "\n" + "\t".join(row) + "\n"

    def _write_person(self, label: str, files: dict[str, Path], texts: dict[str, str]) -> None:
        (self.out / f"sub-{label}/func").mkdir(parents=True)
        for name, source in files.items():
            if name == "kept":
                continue
            path = self.out / str(source.relative_to(self.out)).replace(MODEL, label)
            if name == "image":
                os.link(files["kept"], path)
                continue
            path.write_text(texts.get(name) or self._text(source).replace(f"-{MODEL}", f"-{label}"))

    def _text(self, source: Path) -> str:
        self._texts = getattr(self, "_texts", {})
        if source not in self._texts:
            self._texts[source] = source.read_text()
        return self._texts[source]


def measured(command: list[str]) -> tuple[float, float, str]:
    """Run a command; return seconds, peak memory in MB, and what it said last."""
    start = time.perf_counter()
    with tempfile.TemporaryFile("w+") as told:
        process = subprocess.Popen(command, stdout=told, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        told.seek(0)
        lines = told.read().splitlines()
    if os.waitstatus_to_exitcode(status):
        raise SystemExit("\n".join(lines[-20:]))
    return seconds, usage.ru_maxrss / 1024, "\n".join(lines[-3:])


def dual(people: int) -> None:
    """Read a table with more columns than people, and predict; print what it took, as JSON."""
    from bids_dtg.stats.prediction.folds import repeated_folds
    from bids_dtg.stats.prediction.phenotypes import Target, predict_phenotype
    from bids_dtg.stats.prediction.ridge import Features

    columns, rng = 2 * people, np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        values = np.memmap(Path(folder) / "x.f32", np.float32, "w+", shape=(people, columns))
        for row in range(0, people, 100):
            values[row : row + 100] = rng.standard_normal((len(values[row : row + 100]), columns))
        del values
        values = np.memmap(Path(folder) / "x.f32", np.float32, "r", shape=(people, columns))
        start = time.perf_counter()
        features = Features.of(values)
        kernel = time.perf_counter() - start
        target = Target.numbers(rng.standard_normal(people))
        folds = repeated_folds(np.arange(people), folds=2, repeats=1)
        predict_phenotype(features, target, folds, penalties=("published",))
    facts = {"form": features.form, "kernel": kernel, "all": time.perf_counter() - start}
    print(json.dumps(facts))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=10_000)
    parser.add_argument("--parcels", type=int, default=19)
    parser.add_argument("--analyses", nargs="*", default=[*ANALYSES])
    parser.add_argument("--dual", action="store_true", help="the third part alone")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        dual(options.people)
        return
    if not options.dual:
        with tempfile.TemporaryDirectory() as folder:
            crowd = CrowdWriter(Path(folder), options.parcels)
            crowd.write_crowd(options.people)
            for analysis in options.analyses:
                words = [sys.executable, "-m", "bids_dtg.cli", str(crowd.out), str(crowd.out)]
                words += ["group", "--analysis", analysis, "-p", str(crowd.out / "phenotypes.tsv")]
                words += ["--phenotype", "score", "--covariates", "age", "fd_mean", "site"]
                seconds, peak, said = measured([*words, *ANALYSES[analysis]])
                print(
                    f"{analysis}: {options.people} people, {CONTRASTS * options.parcels} means of "
                    f"regions: {seconds:.0f} s, peak {peak:.0f} MB\n{said}",
                    flush=True,
                )
    words = [sys.executable, __file__, "--people", str(options.people), "--inside"]
    seconds, peak, said = measured(words)
    print(
        f"dual form: {options.people} people x {2 * options.people} columns: peak {peak:.0f} MB, "
        f"of which the kernel is {8 * options.people**2 / 1e6:.0f} MB; {said}"
    )


if __name__ == "__main__":
    main()
