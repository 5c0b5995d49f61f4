from __future__ import annotations

import gzip

import nibabel as nib
import numpy as np
import pytest

from bids_dtg.errors import RunError
from bids_dtg.files.annex import is_pointer, require_content, require_contents

KEY = b".git/annex/objects/zV/8w/MD5E-s1--abc.nii.gz/MD5E-s1--abc.nii.gz"


@pytest.mark.parametrize(
    "content",
    [
        b"/annex/objects/MD5E-s1--abc.nii.gz\n",
        *(b"../" * depth + KEY for depth in (0, 1, 2, 4, 40)),  # links checked out as text
        b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n",
    ],
)
def test_pointers_of_any_depth_are_known(tmp_path, content):
    path = tmp_path / "bold.nii.gz"
    path.write_bytes(content)
    assert is_pointer(content)
    with pytest.raises(RunError, match=rf"sub-01: .*pointer.*datalad get {path}"):
        require_content(path, "01")


def test_files_that_mention_the_annex_are_no_pointers():
    image = nib.Nifti1Image(np.zeros((1, 1, 1), np.uint8), np.eye(4))
    image.header["descrip"] = b"x/annex/objects/x"
    content = image.to_bytes()
    assert not is_pointer(content)
    assert not is_pointer(gzip.compress(content))
    assert not is_pointer(b"csf\tnote\n1\t/annex/objects/x\n")
    assert not is_pointer(b"")


def test_a_command_for_all_names_each_once_and_can_be_typed(tmp_path):
    paths = [tmp_path / "my data" / name for name in ("a.nii.gz", "b.nii.gz", "whole.tsv")]
    paths[0].parent.mkdir()
    for path in paths[:2]:
        path.symlink_to("../.git/annex/objects/x")
    paths[2].write_text("x")
    with pytest.raises(RunError, match=rf"To do: datalad get '{paths[0]}' '{paths[1]}'\.$"):
        require_contents([*paths, *paths], "01")
    paths[0].unlink()
    with pytest.raises(RunError, match=r"b\.nii\.gz is a broken link"):
        require_contents(paths[1:], "01")
