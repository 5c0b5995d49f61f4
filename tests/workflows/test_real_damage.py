"""Files of one of three people damaged by chance, sixty times: the others' results are the same."""

from __future__ import annotations

import random
import re
import shutil
from collections import Counter
from pathlib import Path

import array_people
import numpy as np
import pytest
from fmriprep_dataset import describe_dataset
from itk_files import affine_part, itk_text
from maps_bundle import write_tiny_bundle
from maps_job import FRAMES, TinyJob, add_rest, tree
from network_job import REGIONS, NetworkJob, weights
from scipy.io import savemat

pytestmark = pytest.mark.slow

LABELS, SEEDS = ("01", "02", "03"), range(15)
# 8 mm voxels over the whole brain, and around it in whatever direction a T1w image is turned.
SHAPE = (20, 24, 21)
AFFINE = np.array([[-8.0, 0, 0, 76], [0, 8, 0, -110], [0, 0, 8, -76], [0, 0, 0, 1]])
WIDE = (32, 32, 32)
WIDE_AFFINE = np.array(
    [[8.0, 0, 0, -124], [0, 8, 0, -124], [0, 0, 8, -124], [0, 0, 0, 1]]
)
STRUCTURE = 4096  # bytes at the start of a file, which say where everything is


@pytest.fixture(autouse=True)
def soon(monkeypatch) -> None:
    """End processes that are stuck after a minute; a surface alone takes seconds."""
    monkeypatch.setattr("bids_dtg.engine.pool._STUCK_SECONDS", 60.0)
    monkeypatch.setattr("bids_dtg.engine.pool._LOOK_SECONDS", 0.2)


def damaged(content: bytes, seed: int) -> bytes:
    """Turn over, cut out, double, cut off or replace bytes, every other time near the start."""
    rng, whole = random.Random(seed), content
    while content == whole:
        for _ in range(rng.choice((1, 2, 5))):
            at = rng.randrange(
                min(len(content), STRUCTURE) if seed % 2 else len(content)
            )
            piece = content[at : at + rng.choice((1, 4, 8, 64, 512))]
            turned, noise = (
                bytes(byte ^ 255 for byte in piece),
                rng.randbytes(len(piece)),
            )
            new = rng.choice((turned, b"", piece * 2, noise))
            rest = b"" if rng.random() < 0.1 else content[at + len(piece) :]
            content = content[:at] + new + rest
    return content


class WholeBrainJob(TinyJob):
    """Three people with a small model of the whole brain."""

    def __init__(
        self, folder: Path, shape: tuple[int, int, int], **options: object
    ) -> None:
        self.folder, self.out = folder, folder / "out"
        whole = np.ones(SHAPE, bool)
        bundle = write_tiny_bundle(
            folder / "tiny", shape=SHAPE, affine=AFFINE, masks=(whole, whole)
        )
        self.model = bundle.path
        self.bids = describe_dataset(folder / "fmriprep")
        for number, label in enumerate(LABELS):
            rng = np.random.default_rng(number)
            waves, mixing = rng.normal(size=(6, FRAMES)), rng.normal(size=(*shape, 6))
            noise = 20 * rng.normal(size=(*shape, FRAMES))
            bold = (1000 + 30 * mixing @ waves + noise).round().astype(np.int16)
            add_rest(self.bids, label, bold=bold, **options)
            (self.bids / f"sub-{label}/anat").mkdir()


def with_connectomes(folder: Path, _shared: Path) -> tuple[TinyJob, Path, list[object]]:
    """Return a job whose people have .mat files like QSIRecon's, and the file of the first."""
    job = NetworkJob(folder, LABELS)
    shutil.rmtree(job.structural)
    other_weights = np.random.default_rng(1).random((100, 100))
    for number, label in enumerate(LABELS):
        path = job.structural / f"sub-{label}/dwi/sub-{label}_connectivity.mat"
        path.parent.mkdir(parents=True)
        variables = {
            "atlas_4S156_sift_radius2_count_connectivity": other_weights
            + other_weights.T,
            "atlas_4S156_region_labels": [f"7Networks_LH_Vis_{n}" for n in range(100)],
            "atlas_Slabs_sift_radius2_count_connectivity": weights(number),
            "atlas_Slabs_region_labels": REGIONS,
            "command": "tck2connectome",
        }
        savemat(path, variables, do_compression=bool(number))
    path = job.structural / "sub-01/dwi/sub-01_connectivity.mat"
    return job, path, ["--structural-connectivity", job.structural]


def with_composites(folder: Path, shared: Path) -> tuple[TinyJob, Path, list[object]]:
    """Return a job whose people have runs in T1w and a real transform, and that of the first."""
    job = WholeBrainJob(folder, WIDE, space="T1w", res=None, affine=WIDE_AFFINE)
    name = "from-T1w_to-MNI152NLin6Asym_mode-image_xfm.h5"
    real = shared / "data/real/fmriprep_like/sub-HAPPYTEST/anat"
    for label in LABELS:
        path = job.bids / f"sub-{label}/anat/sub-{label}_{name}"
        shutil.copyfile(real / f"sub-HAPPYTEST_{name}", path)
    return job, job.bids / f"sub-01/anat/sub-01_{name}", []


def with_surfaces(folder: Path, shared: Path) -> tuple[TinyJob, Path, list[object]]:
    """Return a job whose people have real surfaces, and the left one of the first."""
    job = WholeBrainJob(folder, SHAPE, affine=AFFINE)
    real = shared / "data/real/surfaces/tpl-fsLR"
    identity = itk_text([affine_part(np.eye(4))])
    for label in LABELS:
        stem = job.bids / f"sub-{label}/anat/sub-{label}"
        for side in "LR":
            path = f"{stem}_hemi-{side}_space-fsLR_den-32k_midthickness.surf.gii"
            of_side = f"tpl-fsLR_desc-S1200_hemi-{side}_den-32k_midthickness.surf.gii"
            shutil.copyfile(real / of_side, path)
        Path(f"{stem}_from-MNI152NLin6Asym_to-T1w_mode-image_xfm.txt").write_text(
            identity
        )
    name = "sub-01_hemi-L_space-fsLR_den-32k_midthickness.surf.gii"
    return job, job.bids / "sub-01/anat" / name, ["--surfaces", "fsLR"]


def results(out: Path, label: str) -> dict[str, str]:
    return {
        name: sha for name, sha in tree(out).items() if name.startswith(f"sub-{label}/")
    }


FILES = {".mat": with_connectomes, ".h5": with_composites, ".gii": with_surfaces}


@pytest.mark.parametrize("kind", FILES)
def test_a_file_damaged_by_chance_costs_its_person_alone(tmp_path, capfd, shared, kind):
    job, path, words = FILES[kind](tmp_path, shared)
    sound, ends = path.read_bytes(), Counter[str]()
    assert job.run(*words, out=tmp_path / "whole") == 0
    of_the_rest = [results(tmp_path / "whole", label) for label in LABELS[1:]]
    assert all(of_the_rest)
    for seed in SEEDS:
        path.write_bytes(damaged(sound, seed))
        capfd.readouterr()
        code, out = job.run(*words, out=tmp_path / f"{seed}"), tmp_path / f"{seed}"
        told = capfd.readouterr().err
        lines = [line for line in told.splitlines() if "failed: " in line]
        assert [results(out, label) for label in LABELS[1:]] == of_the_rest, seed
        assert "internal error" not in told, (seed, told)
        # Where bytes of values changed, the file may still be one.
        complete = [*out.glob("logs/complete/sub-01*")]
        assert code == len(lines) == (not complete), (seed, told)
        assert all(
            "sub-01: failed: " in line and path.stem in line for line in lines
        ), (seed, told)
        how = re.search("died|took too long", lines[0]) if lines else None
        ends[how[0] if how else "refused" if lines else "read"] += 1
        shutil.rmtree(out)
    print(kind, dict(ends))
    assert ends["read"] <= len(SEEDS) / 2


def test_arrays_damaged_by_chance_end_in_a_line(tmp_path, capfd):
    path, ends = tmp_path / "all.h5", Counter[str]()
    array_people.write(path, **array_people.arrays())
    sound = path.read_bytes()
    for seed in SEEDS:
        path.write_bytes(damaged(sound, seed))
        capfd.readouterr()
        code = array_people.call(tmp_path, "train", "--omp-nthreads", 1, file=path.name)
        told = capfd.readouterr().err
        lines = [line for line in told.splitlines() if "error: " in line]
        assert "internal error" not in told, (seed, told)
        assert (code, len(lines)) in {(0, 0), (2, 1)}, (seed, told)
        assert all(path.name in line for line in lines), (seed, told)
        how = re.search("died|took too long", lines[0]) if lines else None
        ends[how[0] if how else "refused" if lines else "read"] += 1
        shutil.rmtree(tmp_path / "out", ignore_errors=True)
    print("arrays", dict(ends))
