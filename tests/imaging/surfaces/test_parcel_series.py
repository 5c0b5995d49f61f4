"""Parcel series, from grayordinates and from tables: of what each one is the mean."""

from __future__ import annotations

import errno
import filecmp
import re
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from cifti_people import (
    brain_models,
    parcels_axis,
    save_maps,
    save_series,
    tiny_series,
    with_header,
)

from bids_dtg.errors import RunError
from bids_dtg.files.regions import RegionTable, encode_series
from bids_dtg.imaging.surfaces.cifti import ParcelPlaces, standard_grayordinates
from bids_dtg.imaging.surfaces.parcel_series import (
    SeriesHeader,
    frames_at_vertices,
    has_equal_sides,
    read_series_header,
    stream_series,
)

_cifti: Any = nib.cifti2
_LEFT = "CIFTI_STRUCTURE_CORTEX_LEFT"


def read(path: Path, parcels: ParcelPlaces) -> np.ndarray:
    """Return the series of a file of parcels."""
    header = read_series_header(path)
    blocks = list(stream_series(header, header.weights_of(parcels)[0]))
    assert [first for first, _ in blocks] == list(range(0, header.frames, 64))
    return np.concatenate([block for _, block in blocks])


def some(axis: Any, rows: list[int]) -> ParcelPlaces:
    return ParcelPlaces.of_axis(axis[rows])


@pytest.mark.parametrize("dtype", ["<f4", "<f8", "<i2"])
def test_series_of_parcels_are_those_of_nibabel(tmp_path: Path, dtype: str) -> None:
    axis = parcels_axis()
    path = save_series(
        tmp_path / "a.ptseries.nii", tiny_series(12, 70).astype(dtype), axis
    )
    header = read_series_header(path)
    assert (header.frames, header.time, header.places.axis) == (70, (10.0, "s"), axis)
    expected = nib.load(path).get_fdata(dtype=np.float32)
    rows = [3, 0, 11, 7]
    np.testing.assert_array_equal(read(path, some(axis, rows)), expected[:, rows])
    content = bytearray(path.read_bytes())
    raw = nib.Nifti2Header(bytes(content[:540]))
    raw["scl_slope"], raw["scl_inter"] = 0.5, -3.0
    path.write_bytes(raw.binaryblock + content[540:])
    np.testing.assert_allclose(
        read(path, some(axis, rows)), expected[:, rows] * 0.5 - 3, rtol=1e-6
    )


@pytest.mark.slow
def test_a_parcel_of_grayordinates_is_their_mean(tmp_path: Path) -> None:
    axis = standard_grayordinates()
    vertices = axis.vertex[:6]
    values = np.random.default_rng(0).normal(size=(5, len(axis))).astype("<f4")
    path = save_series(tmp_path / "a.dtseries.nii", values, axis)
    sides = [{_LEFT: vertices[:4]}, {_LEFT: vertices[4:]}]
    parcels = _cifti.ParcelsAxis(
        ["L_one", "L_two"],
        [np.zeros((0, 3), int)] * 2,
        sides,
        nvertices={_LEFT: 32_492},
    )
    weights, _ = read_series_header(path).weights_of(ParcelPlaces.of_axis(parcels))
    wanted = np.stack([values[:, :4].mean(axis=1), values[:, 4:6].mean(axis=1)], axis=1)
    np.testing.assert_allclose(values @ weights.T, wanted, rtol=1e-6)


def test_a_table_is_read_by_names_in_any_spelling(tmp_path: Path) -> None:
    axis, values = parcels_axis(2), np.array([[1.5, -2], [0.25, 7], [3, 4]], np.float32)
    axis = _cifti.ParcelsAxis(
        ["L_V1_ROI", "R_V1_ROI"],
        axis.voxels,
        axis.vertices,
        axis.affine,
        axis.volume_shape,
        axis.nvertices,
    )
    path = tmp_path / "a_timeseries.tsv"
    path.write_bytes(encode_series(RegionTable(("Right_V1", "Left_V1"), values.T)))
    header = read_series_header(path)
    assert (header.frames, header.time) == (3, (0.0, None))
    np.testing.assert_array_equal(
        read(path, ParcelPlaces.of_axis(axis)), values[:, ::-1]
    )


def test_a_parcel_that_the_file_lacks_has_no_weight(tmp_path: Path) -> None:
    axis = parcels_axis()
    path = save_series(tmp_path / "a.ptseries.nii", tiny_series(11, 9), axis[:11])
    weights, unknown = read_series_header(path).weights_of(ParcelPlaces.of_axis(axis))
    assert weights.sum(axis=1).tolist() == [1.0] * 11 + [0.0]
    assert unknown == 0


@pytest.mark.parametrize("kind", ["dtseries", "ptseries", "tsv"])
@pytest.mark.parametrize("copied", [True, False])
def test_a_right_hemisphere_with_the_values_of_the_left_is_seen(tmp_path, kind, copied):
    values = tiny_series(160 if kind == "dtseries" else 12, 9)
    half = 60 if kind == "dtseries" else 6
    values[:, half : 2 * half] = (
        values[:, :half] + (not copied) * values[:, half : half + 1]
    )
    names = tuple(f"{side}_area{number}" for side in "LR" for number in range(6))
    if kind == "tsv":
        path = tmp_path / "a_timeseries.tsv"
        path.write_bytes(encode_series(RegionTable(names, values.T)))
    else:
        axis = parcels_axis() if kind == "ptseries" else brain_models()
        if kind == "ptseries":
            axis.name = np.array(names)
        path = save_series(tmp_path / f"a.{kind}.nii", values, axis)
    assert has_equal_sides(read_series_header(path), 4) == copied


@pytest.mark.parametrize("side", "LR")
def test_arrays_of_other_sizes_on_a_mesh_are_refused(tmp_path, side):
    paths = {
        hemisphere: tmp_path / f"a_hemi-{hemisphere}_bold.func.gii"
        for hemisphere in "LR"
    }
    for hemisphere, path in paths.items():
        sizes = (10_242, 9) if hemisphere == side else (10_242, 10_242)
        arrays = [nib.gifti.GiftiDataArray(np.ones(size, "f4")) for size in sizes]
        nib.save(nib.gifti.GiftiImage(darrays=arrays), path)
    header = read_series_header(paths["L"])
    with pytest.raises(
        RunError, match=rf"{paths[side].name} has arrays of other sizes than 10,242\."
    ):
        list(frames_at_vertices(header))


def test_a_disk_that_fails_names_the_file(tmp_path, monkeypatch):
    paths = [tmp_path / f"a_hemi-{side}_bold.func.gii" for side in "LR"]
    header = SeriesHeader(paths[0], 9, (0.0, None), None, vertices=10_242)

    def fails(*_words, **_options):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(filecmp, "cmp", fails)
    with pytest.raises(RunError, match=r"hemi-L_bold\.func\.gii .*Input/output error"):
        has_equal_sides(header, 4)


def test_files_that_are_no_run_are_one_line(tmp_path: Path) -> None:
    axis = parcels_axis()
    parcels = ParcelPlaces.of_axis(axis)
    path = save_series(tmp_path / "a.ptseries.nii", tiny_series(12, 9), axis)
    content, header = path.read_bytes(), read_series_header(path)
    path.write_bytes(content[:-8])
    with pytest.raises(RunError, match=r"a\.ptseries\.nii cannot be read"):
        list(stream_series(header, header.weights_of(parcels)[0]))
    path.write_bytes(content + content[-48:])
    with pytest.raises(RunError, match="goes on after the 9 x 12 values of its header"):
        read_series_header(path)
    for length in (300, 2000):
        path.write_bytes(content[:length])
        with pytest.raises(RunError, match=r"a\.ptseries\.nii cannot be read"):
            read_series_header(path)
    with pytest.raises(RunError, match="has 1 frames"):
        read_series_header(save_series(path, np.ones((1, 12), "f4"), axis))
    turned = nib.cifti2.Cifti2Image(
        np.ones((12, 9), "f4"), (axis, nib.cifti2.SeriesAxis(0, 0.8, 9, "SECOND"))
    )
    nib.save(turned, path)
    with pytest.raises(RunError, match="it has a ParcelsAxis, not frames"):
        read_series_header(path)
    nib.save(nib.Nifti2Image(np.ones((1, 1, 1, 1, 9, 12), "f4"), np.eye(4)), path)
    with pytest.raises(RunError, match="it has 0 CIFTI headers, not one"):
        read_series_header(path)
    with pytest.raises(RunError, match="it has a ScalarAxis, not frames"):
        read_series_header(save_maps(path, np.ones((1, 12)), axis))
    models = brain_models()
    with pytest.raises(RunError, match="it has a BrainModelAxis, not parcels"):
        read_series_header(save_series(path, np.ones((4, len(models)), "f4"), models))
    with pytest.raises(RunError, match=r"gone\.ptseries\.nii"):
        read_series_header(tmp_path / "gone.ptseries.nii")
    mesh = _cifti.ParcelsAxis(
        ["one"],
        [np.zeros((0, 3), int)],
        [{_LEFT: np.arange(3)}],
        nvertices={_LEFT: 10_242},
    )
    with pytest.raises(RunError, match=r"10,242 vertices in CIFTI_.*32,492"):
        read_series_header(save_series(path, np.ones((4, 1), "f4"), mesh))
    for size in (59_292, 163_842):  # HCP's 7T, and fMRIPrep's 170k grayordinates
        finer = _cifti.BrainModelAxis.from_surface(np.arange(9), size, _LEFT)
        dense = save_series(tmp_path / "a.dtseries.nii", np.ones((4, 9), "f4"), finer)
        with pytest.raises(RunError, match=rf"{size:,} vertices in CIFTI_.*32,492"):
            read_series_header(dense)


VERTICES = re.compile(rb"<VertexIndices>\s*(\d+) (\d+)")
SIDES = b"CIFTI_STRUCTURE_CORTEX_LEFT", b"CIFTI_STRUCTURE_CORTEX_RIGHT"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (
            lambda xml: VERTICES.sub(rb"<VertexIndices>99999999 \2", xml, count=1),
            "vertex 99999999 in .*LEFT, whose mesh has 32,492",
        ),
        (
            lambda xml: VERTICES.sub(rb"<VertexIndices>-1 \2", xml, count=1),
            "Undefined vertex",
        ),
        (
            lambda xml: VERTICES.sub(rb"<VertexIndices>\2 \2", xml, count=1),
            "lists a vertex of .*LEFT twice",
        ),
        (
            lambda xml: xml.replace(b'IndexCount="60"', b'IndexCount="61"', 1),
            "it holds 60 numbers where it states 61",
        ),
        (lambda xml: xml.replace(SIDES[1], SIDES[0]), "lists .*LEFT 2 times"),
        (
            lambda xml: xml.replace(b"CORTEX_LEFT", b"OTHER").replace(
                b"AMYGDALA_LEFT", b"CORTEX_LEFT"
            ),
            "it has CIFTI_STRUCTURE_CORTEX_LEFT as voxels",
        ),
        (
            lambda xml: xml.replace(b'SeriesPoints="9"', b'SeriesPoints="8"'),
            "it has 9 x 160 values, and its CIFTI header 8 x 160",
        ),
        (
            lambda xml: re.sub(
                b'VolumeDimensions="[0-9]+', b'VolumeDimensions="2', xml
            ),
            "voxels of CIFTI_STRUCTURE_AMYGDALA_LEFT beyond its volume",
        ),
    ],
)
def test_a_header_of_other_places_is_refused(tmp_path, change, why):
    models = brain_models()
    path = save_series(tmp_path / "a.dtseries.nii", tiny_series(160, 9), models)
    with_header(path, change)
    with pytest.raises(
        RunError, match=rf"a\.dtseries\.nii cannot be read.*{why}"
    ) as refused:
        read_series_header(path)
    assert refused.value.remedy == "fetch or make it again"


@pytest.mark.slow
def test_a_header_that_is_longer_than_any_is_not_searched(tmp_path):
    path = save_series(tmp_path / "a.dtseries.nii", tiny_series(160, 9), brain_models())
    content = bytearray(path.read_bytes())
    content[544:548] = (2**26 + 16).to_bytes(4, "little")  # its length
    path.write_bytes(content.ljust(544 + 2**26 + 16))
    with pytest.raises(RunError, match="its CIFTI header has 67,108,872 bytes"):
        read_series_header(path)


def test_columns_that_are_not_the_axis_are_refused(tmp_path):
    models = brain_models()
    path = save_series(tmp_path / "a.dtseries.nii", tiny_series(160, 9), models)
    raw = nib.Nifti2Image.from_filename(path)
    wide, raw = np.asarray(raw.dataobj).copy(), raw.header
    for values in (wide[..., :100], np.concatenate([wide, wide[..., :5]], axis=-1)):
        nib.save(nib.Nifti2Image(values, None, raw), path)
        columns = values.shape[-1]
        with pytest.raises(RunError, match=f"it has 9 x {columns} values, .* 9 x 160"):
            read_series_header(path)


def test_a_parcel_of_vertices_beyond_its_mesh_is_refused(tmp_path):
    path = save_series(tmp_path / "a.ptseries.nii", tiny_series(12, 9), parcels_axis())
    with_header(
        path, lambda xml: re.sub(rb"(<Vertices [^>]*>)\d+", rb"\g<1>40000", xml)
    )
    with pytest.raises(RunError, match="vertex 40000 in parcel P00"):
        read_series_header(path)


def test_a_series_on_a_mesh_never_names_another_file(tmp_path):
    (elsewhere := tmp_path / "elsewhere.bin").write_bytes(bytes(10_242 * 4))
    array = nib.gifti.GiftiDataArray(
        np.ones(10_242, np.float32), encoding="GIFTI_ENCODING_ASCII"
    )
    image = nib.gifti.GiftiImage(darrays=[array, array])
    path = tmp_path / "sub-01_task-rest_hemi-L_space-fsaverage5_bold.func.gii"
    right = tmp_path / path.name.replace("hemi-L", "hemi-R")
    for file in (path, right):
        nib.save(image, file)
    header = read_series_header(path)
    assert len([*frames_at_vertices(header)]) == 2
    text = path.read_text()
    text = text.replace('Encoding="ASCII"', 'Encoding="ExternalFileBinary"')
    text = text.replace('ExternalFileName=""', f'ExternalFileName="{elsewhere.name}"')
    for file in (right, path):
        file.write_text(text)
        with pytest.raises(RunError, match=rf"{file.name} .* values in another file"):
            list(frames_at_vertices(header))
    with pytest.raises(RunError, match="values in another file"):
        read_series_header(path)
