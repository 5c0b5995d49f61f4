from __future__ import annotations

import numpy as np
import pytest

from bids_dtg.connectome.connectome import run_connectomes
from bids_dtg.connectome.design import TemporalDesign
from bids_dtg.connectome.device import NumpyArrays, TorchArrays
from bids_dtg.connectome.moments import InvalidVoxelsError, RunMoments, RunVoxels, measure_run

FRAMES, VOXELS, GREY, ROIS = 90, 300, 200, 5


def example(seed: int = 0) -> tuple[np.ndarray, np.ndarray, TemporalDesign]:
    rng = np.random.default_rng(seed)
    maps = rng.random((ROIS, VOXELS)).astype(np.float32)
    bold = 1000 + rng.standard_normal((FRAMES, ROIS)) @ maps + rng.standard_normal((FRAMES, VOXELS))
    keep = rng.random(FRAMES) < 0.9
    confounds = rng.standard_normal((FRAMES, 4)).cumsum(axis=0)
    design = TemporalDesign.build(confounds, list("abcd"), keep, 10.0)
    return bold.astype(np.float32), maps, design


def reader(bold: np.ndarray, size: int, opened: list[int] | None = None):
    def blocks():
        if opened is not None:
            opened.append(1)
        for first in range(0, len(bold), size):
            yield first, bold[first : first + size].copy()

    return blocks


def all_of(maps: np.ndarray, **options) -> RunVoxels:
    return RunVoxels(maps, GREY, options.pop("valid", np.ones(VOXELS, bool)), **options)


def measure(bold, maps, design, *, size=16, arrays=None, **options) -> RunMoments:
    return measure_run(reader(bold, size), design, all_of(maps, **options), arrays=arrays)


def test_blocks_of_any_size_give_the_same():
    bold, maps, design = example()
    one = run_connectomes(measure(bold, maps, design, size=FRAMES))
    for size in (1, 7, 32):
        other = run_connectomes(measure(bold, maps, design, size=size))
        np.testing.assert_allclose(other.whole.r, one.whole.r, atol=5e-6)
        np.testing.assert_allclose(other.even.r, one.even.r, atol=5e-6)


def test_sums_of_two_parts_add_up_to_the_whole():
    bold, maps, design = example()
    segments = design.segments()

    def part(first: int, stop: int) -> RunMoments:
        made = RunMoments(design, all_of(maps), segments, subtracted=bold[0], arrays=NumpyArrays())
        made.add(bold[first:stop].copy(), first)
        return made

    joined, whole = part(0, 33) + part(33, FRAMES), part(0, FRAMES)
    np.testing.assert_allclose(
        run_connectomes(joined).whole.r, run_connectomes(whole).whole.r, atol=5e-6
    )
    with pytest.raises(ValueError, match="disjoint"):
        part(0, 33) + part(20, FRAMES)
    with pytest.raises(ValueError, match="kept frames were added"):
        run_connectomes(part(0, 33))


def test_torch_and_numpy_agree():
    pytest.importorskip("torch")
    bold, maps, design = example()
    valid = np.ones(VOXELS, bool)
    valid[7] = False
    cpu = run_connectomes(measure(bold, maps, design, valid=valid))
    device = run_connectomes(measure(bold, maps, design, valid=valid, arrays=TorchArrays("cpu")))
    for name in ("whole", "odd", "even"):
        np.testing.assert_allclose(getattr(cpu, name).r, getattr(device, name).r, atol=5e-6)
    np.testing.assert_array_equal(cpu.covered, device.covered)


def test_voxels_that_are_not_valid_are_never_read():
    bold, maps, design = example()
    valid = np.random.default_rng(1).random(VOXELS) < 0.7
    clean = run_connectomes(measure(bold, maps, design, valid=valid))
    bold[:, ~valid] = np.nan
    spoiled = run_connectomes(measure(bold, maps, design, valid=valid))
    np.testing.assert_array_equal(clean.whole.r, spoiled.whole.r)
    assert not clean.whole.r[:, ~valid[:GREY]].any()
    np.testing.assert_array_equal(clean.covered, valid[:GREY])


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("frame", [0, 50])
def test_a_voxel_with_one_value_that_is_not_finite_is_as_one_outside_the_mask(frame, value):
    bold, maps, design = example()
    frame += int(np.argmax(design.keep[frame:]))
    valid = np.ones(VOXELS, bool)
    valid[[3, 250]] = False
    expected = run_connectomes(measure(bold, maps, design, valid=valid))
    bold[frame, 3], bold[min(frame + 30, FRAMES - 2) :, 250] = value, value
    opened: list[int] = []
    moments = measure_run(reader(bold, 16, opened), design, all_of(maps))
    np.testing.assert_allclose(run_connectomes(moments).whole.r, expected.whole.r, atol=5e-6)
    np.testing.assert_array_equal(moments.valid, valid)
    assert len(opened) == 2


def test_values_that_are_not_finite_in_removed_frames_do_not_matter():
    bold, maps, design = example()
    expected = run_connectomes(measure(bold, maps, design))
    bold[~design.keep] = np.nan
    np.testing.assert_array_equal(
        run_connectomes(measure(bold, maps, design)).whole.r, expected.whole.r
    )


def test_the_sums_are_as_before_when_a_block_is_refused():
    bold, maps, design = example()
    moments = RunMoments(
        design, all_of(maps), design.segments(), subtracted=bold[0], arrays=NumpyArrays()
    )
    moments.add(bold[:20].copy(), 0)
    before = moments.squares.copy()
    spoiled = bold[20:].copy()
    spoiled[:, 0] = np.nan
    with pytest.raises(InvalidVoxelsError):
        moments.add(spoiled, 20)
    np.testing.assert_array_equal(moments.squares, before)
    moments.add(bold[20:].copy(), 20)
    assert moments.seen.all()


def test_zero_filled_voxels_have_no_data_but_constant_ones_have():
    bold, maps, design = example()
    bold[:, 4], bold[:, 260] = 0, 7
    moments = measure(bold, maps, design)
    assert not moments.solved[4]
    assert moments.solved[260]
    assert not moments.varying[[4, 260]].any()
    assert moments.varying.sum() == VOXELS - 2
    assert measure(bold, maps, design, zeros_missing=False).solved.all()


def test_an_all_zero_image_covers_nothing():
    bold, maps, design = example()
    result = run_connectomes(measure(bold * 0, maps, design))
    assert result.coverage == 0
    assert not result.whole.r.any()
    assert result.median_tsnr == 0


def test_frames_beyond_the_design_and_wrong_voxels_are_refused():
    bold, maps, design = example()
    with pytest.raises(ValueError, match="beyond the 90"):
        measure(np.vstack([bold, bold]), maps, design)
    moments = measure(bold, maps, design)
    with pytest.raises(ValueError, match=r"\(frames, 300\), not \(16, 299\)"):
        moments.add(bold[:16, :-1], 0)
