"""The real person HAPPYTEST of the shared data as fMRIPrep writes a run, in one version or all."""

from __future__ import annotations

from pathlib import Path

PERSON = "HAPPYTEST"
# Names of the versions' series: what follows the task.
VERSIONS = {
    "boldref": "",
    "T1w": "_space-T1w",
    "MNI152NLin6Asym": "_space-MNI152NLin6Asym_res-2",
    "MNI152NLin2009cAsym": "_space-MNI152NLin2009cAsym",
}


def write_happy_person(
    shared: Path,
    folder: Path,
    *,
    versions: tuple[str, ...] = tuple(VERSIONS),
    own_surfaces: bool = True,
) -> Path:
    """Link files of the person into a folder of derivatives, with or without own surfaces.

    The T1w space of the data is that of the boldref, so the version in T1w space is a copy.
    """
    real, root = shared / "data/real", folder / "fmriprep"
    source = real / "fmriprep_like"
    target = root / f"sub-{PERSON}"
    for name in ("anat", "func"):
        (target / name).mkdir(parents=True, exist_ok=True)
    (root / "dataset_description.json").symlink_to(source / "dataset_description.json")
    anatomy = [*(source / target.name / "anat").iterdir()]
    if own_surfaces:
        anatomy += (real / f"surfaces/{target.name}/anat").iterdir()
    for path in anatomy:
        (target / "anat" / path.name).symlink_to(path)
    func, stem = source / target.name / "func", f"sub-{PERSON}_task-rest"
    for name in (
        "desc-confounds_timeseries.tsv",
        "from-boldref_to-T1w_mode-image_desc-coreg_xfm.txt",
    ):
        (target / "func" / f"{stem}_{name}").symlink_to(func / f"{stem}_{name}")
    for version in versions:
        stored = VERSIONS["boldref"] if version == "T1w" else VERSIONS[version]
        for ending in ("preproc_bold.nii.gz", "preproc_bold.json", "brain_mask.nii.gz"):
            name = f"{stem}{VERSIONS[version]}_desc-{ending}"
            (target / "func" / name).symlink_to(func / f"{stem}{stored}_desc-{ending}")
    return root
