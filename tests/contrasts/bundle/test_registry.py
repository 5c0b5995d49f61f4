"""The published models' facts, as far as they can be checked without the published weights."""

from __future__ import annotations

import re

import nibabel as nib
import numpy as np
from model_host import blob_id

from bids_dtg.contrasts.bundle.registry import PUBLISHED
from bids_dtg.contrasts.participant.model import DEFAULT


def test_every_file_is_pinned():
    for model in PUBLISHED.values():
        for file in model.files:
            assert re.fullmatch(r"git:[0-9a-f]{40}", file.digest)
            # Owner, repository, commit, path: a branch could hold another file later.
            assert re.fullmatch(r"[^/]+/[^/]+/[0-9a-f]{40}/.+", file.location)
    checkpoints = {model.checkpoint.digest for model in PUBLISHED.values()}
    assert len(checkpoints) == 3


def test_the_default_model_is_published():
    assert DEFAULT in PUBLISHED
    assert "demo" not in PUBLISHED


def test_every_model_says_its_terms_and_its_training():
    for name, model in PUBLISHED.items():
        assert model.card.name == name
        assert "HCP's data-use terms" in model.card.notice
        assert model.card.licence.startswith("GPL-3.0")
        assert model.card.training.repetition_time_s
        assert "FIX" in model.card.training.cleaning


def test_ids_and_sizes_of_the_masks_are_those_of_the_real_files(shared):
    mni, model = shared / "data" / "mni", PUBLISHED["hcp-ya"]
    brain = (mni / "MNI_2mm_brain_mask.nii").read_bytes()
    stated = model.brain_mask
    assert (f"git:{blob_id(brain)}", len(brain)) == (stated.digest, stated.size)
    # The published grey matter is the union of two masks, written by nibabel as float64.
    parts = [
        nib.load(mni / f"MNI_2mm_{kind}_mask_crop.nii.gz")
        for kind in ("cortical", "subcortical")
    ]
    union = (parts[0].get_fdata() > 0) | (parts[1].get_fdata() > 0)
    grey = nib.Nifti1Image(union.astype(np.float64), parts[0].affine).to_bytes()
    assert (f"git:{blob_id(grey)}", len(grey)) == (model.mask.digest, model.mask.size)
