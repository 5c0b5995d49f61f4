import numpy as np

from bids_dtg.contrasts.network.blocks import (
    Window,
    conv_blocks,
    masked_field,
)


def test_constant_far_from_the_mask_is_computed_once():
    mask = np.zeros((40, 40, 40), bool)
    mask[20, 20, 20] = True
    blocks = conv_blocks(masked_field(mask), np.ones_like(mask), size=64)
    assert blocks.count == 8 + 1


def test_a_window_keeps_the_rows_that_are_wanted_again():
    table = np.arange(40, dtype=np.float32).reshape(20, 2) + 1
    window, written = Window(8, 2), []
    for wanted in (range(3, 9), range(5, 13), range(6, 10), range(2, 4), range(15, 20)):
        missing = window.move(wanted)
        written.append(len(missing))
        window.at(missing)[:] = table[missing.start : missing.stop]
        np.testing.assert_array_equal(window.rows[:-1], table[wanted.start : wanted.stop])
        assert not window.rows[-1].any()
    assert written == [6, 4, 0, 2, 5]
