"""The methods text on a page."""

from __future__ import annotations

from bids_dtg.files.derivatives import DerivativeDataset
from bids_dtg.report.methods_blocks import find_methods, methods_path, parse_markdown


def test_blocks_of_markdown():
    text = "# Methods\n\nOne\ntwo.\n\n## References\n\n- A. *Title*,\n  1.\n- B.\n"
    assert parse_markdown(text) == [
        ("paragraph", "One two."),
        ("heading", "References"),
        ("list", ["A. Title, 1.", "B."]),
    ]


def test_a_set_has_the_text_of_its_own_options(tmp_path):
    dataset = DerivativeDataset(tmp_path)
    for path, text in ((methods_path("a" * 64), "own"), ("logs/CITATION.md", "last")):
        dataset.write(path, text.encode())
    assert find_methods(dataset, [{"OptionsSHA256": "a" * 64}]) == "own"
    assert find_methods(dataset, [{"OptionsSHA256": "b" * 64}]) == "last"
    assert find_methods(dataset, [{"OptionsSHA256": "../../etc"}]) == "last"
