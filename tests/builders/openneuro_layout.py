"""Names of what git-annex has of the first participant of ds002748-fmriprep, as far as they matter.

OpenNeuroDerivatives/ds002748-fmriprep at 14ad53861c37 (fMRIPrep 21.0.2, CC0).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

PARTICIPANT = "01"
# After `sub-01/anat/sub-01_`.
_ANAT = """
desc-brain_mask.nii.gz
desc-preproc_T1w.nii.gz
from-MNI152NLin6Asym_to-T1w_mode-image_xfm.h5
from-T1w_to-MNI152NLin2009cAsym_mode-image_xfm.h5
from-T1w_to-MNI152NLin6Asym_mode-image_xfm.h5
from-T1w_to-fsnative_mode-image_xfm.txt
hemi-L_midthickness.surf.gii
hemi-R_midthickness.surf.gii
space-MNI152NLin2009cAsym_res-2_desc-brain_mask.nii.gz
space-MNI152NLin2009cAsym_res-2_desc-preproc_T1w.nii.gz
"""
# After `sub-01/func/sub-01_task-rest_`.
_FUNC = """
AROMAnoiseICs.csv
boldref.nii.gz
desc-MELODIC_mixing.tsv
desc-brain_mask.nii.gz
desc-confounds_timeseries.tsv
desc-preproc_bold.nii.gz
from-T1w_to-scanner_mode-image_xfm.txt
from-scanner_to-T1w_mode-image_xfm.txt
hemi-L_space-fsaverage5_bold.func.gii
space-MNI152NLin2009cAsym_res-2_boldref.nii.gz
space-MNI152NLin2009cAsym_res-2_desc-aseg_dseg.nii.gz
space-MNI152NLin2009cAsym_res-2_desc-brain_mask.nii.gz
space-MNI152NLin2009cAsym_res-2_desc-preproc_bold.nii.gz
space-MNI152NLin6Asym_desc-smoothAROMAnonaggr_bold.nii.gz
space-T1w_boldref.nii.gz
space-T1w_desc-brain_mask.nii.gz
space-T1w_desc-preproc_bold.nii.gz
space-fsLR_den-91k_bold.dtseries.nii
"""


def annexed_names(participant: str = PARTICIPANT) -> list[str]:
    """Return the paths of a participant's annexed files, sorted."""
    who = f"sub-{participant}"
    anat = [f"{who}/anat/{who}_{end}" for end in _ANAT.split()]
    func = [f"{who}/func/{who}_task-rest_{end}" for end in _FUNC.split()]
    return sorted([*anat, *func])


def add_annexed(root: Path, participant: str, make: Callable[[Path], object]) -> None:
    """Make what a dataset does not have yet of these files."""
    for name in annexed_names(participant):
        path = root / name
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            make(path)


def stub(path: Path) -> None:
    """Leave what git-annex leaves of a file whose content has not been got."""
    path.symlink_to("../../.git/annex/objects/a/b/MD5E-s1--c/MD5E-s1--c")
