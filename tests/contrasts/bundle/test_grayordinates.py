"""Grayordinates of a bundle: written and read back, and each damage one line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from cifti_people import tiny_places
from safetensors.numpy import load_file, save_file

from bids_dtg.contrasts.bundle.arrays import encode_grayordinates, read_grayordinates
from bids_dtg.errors import BundleError

NUMBER = 160


def written(folder: Path, **change: object) -> Path:
    """Write small places with some of their arrays changed; None takes one away."""
    path = folder / "places.safetensors"
    path.write_bytes(encode_grayordinates(tiny_places()))
    tensors = load_file(path)
    for name, of in change.items():
        tensors[name] = of(tensors[name].copy())
    save_file({name: values for name, values in tensors.items() if values is not None}, path)
    return path


def put(place: object, value: float):
    def change(values: np.ndarray) -> np.ndarray:
        values[place] = value
        return values

    return change


def test_they_are_read_as_they_were_written(tmp_path):
    assert read_grayordinates(written(tmp_path), NUMBER).axis == tiny_places().axis


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"left_vertices": put(3, 40_000)}, "vertices L are 0 to 32491"),
        ({"right_vertices": put(3, -1)}, "vertices R are 0 to 32491"),
        ({"left_vertices": lambda v: put(1, v[0])(v)}, "a vertex L is there twice"),
        ({"voxels": put((0, 0), 5000)}, r"voxels lie in a volume of \(91, 109, 91\)"),
        ({"voxels": lambda v: put(1, v[0])(v)}, "a voxel is there twice"),
        ({"affine": lambda a: a * 0}, "affine of the voxels is .* can be inverted"),
        ({"affine": put((0, 0), np.nan)}, "values that are not finite in affine"),
        ({"shape": put(0, 2**30)}, "its volume has 1073741824 x 109 x 91 voxels"),
        ({"shape": put(slice(None), -1)}, "its volume has -1 x -1 x -1 voxels"),
        ({"parts": put((1, 0), 61)}, "structures follow each other, and hold all places"),
        ({"parts": put((0, 1), 50)}, "structures follow each other, and hold all places"),
        ({"names": lambda n: put(slice(17, 27), ord("X"))(n)}, "vertices are of the cortex"),
        ({"left_vertices": lambda v: v.astype(np.float32)}, "left_vertices"),
        ({"left_vertices": lambda v: np.arange(NUMBER, dtype=np.int32)}, "has 220 vertices"),
        ({"voxels": lambda v: v[:-1]}, "voxels"),
        ({"affine": lambda a: None}, "affine"),
        ({"names": lambda n: n[:-9]}, r"called CIFTI_STRUCTURE_AMYGD, which CIFTI does not have"),
        ({"names": lambda n: n[:-32]}, "names"),
    ],
)
def test_what_is_damaged_is_one_line(tmp_path, change, message):
    path = written(tmp_path, **change)
    with pytest.raises(BundleError, match=message) as caught:
        read_grayordinates(path, NUMBER)
    assert str(path) in str(caught.value)


def test_a_cut_file_and_another_number_of_places_are_one_line(tmp_path):
    path = written(tmp_path)
    with pytest.raises(BundleError, match="voxels"):
        read_grayordinates(path, NUMBER + 1)
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(BundleError, match=r"places\.safetensors"):
        read_grayordinates(path, NUMBER)
