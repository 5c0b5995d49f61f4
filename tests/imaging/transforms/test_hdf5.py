"""Files of HDF5 whose structure is damaged: the library must not take the program with it."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from itk_files import affine_part, write_composite

from bids_dtg.imaging.transforms.hdf5 import read_parts, require_sound


@pytest.fixture
def composite(tmp_path) -> Path:
    return write_composite(tmp_path / "x.h5", [affine_part(np.eye(4)), affine_part(np.eye(4))])


def test_a_sound_file_is_read(composite):
    require_sound(composite)
    kinds = [kind for kind, _, _ in read_parts(composite)]
    assert kinds == ["CompositeTransform_double_3_3", *["AffineTransform_double_3_3"] * 2]


def test_long_arrays_are_left_out(composite):
    assert [len(parameters) for _, parameters, _ in read_parts(composite, most=11)] == [0, 0, 0]


@pytest.mark.parametrize("size", [0, 2**31, 2**63])
def test_texts_whose_sizes_are_damaged_end_in_a_line(composite, size):
    """Their heap is walked by sizes that it states itself."""
    content = bytearray(composite.read_bytes())
    heap = content.index(b"GCOL")
    # After a header of 16 bytes, each text has one of 16, which ends with its size.
    struct.pack_into("<Q", content, heap + 24, size)
    struct.pack_into("<Q", content, heap + 8, max(size, 64))
    composite.write_bytes(content)
    with pytest.raises(ValueError, match=r"heap|damaged|memory|EOA"):
        require_sound(composite)


def test_it_is_looked_at_from_any_folder(composite, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    require_sound(Path(composite.name))
