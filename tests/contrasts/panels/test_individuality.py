"""How individual a participant's maps are, in the words of a page."""

from __future__ import annotations

import pytest
from tiny_job import TinyJob

from bids_dtg.contrasts.panels.individuality import individuality_words
from bids_dtg.files.derivatives import DerivativeDataset
from bids_dtg.files.text import write_tsv
from bids_dtg.report.contents import find_participant

COLUMNS = ["contrast", "distance", "standard_error", "individual", "halves_r", "reliability"]


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        (["1.26", "n/a", "n/a", "n/a", "n/a"], "Distance from others 1.3 (typical: 1)"),
        (
            ["1.26", "0.4", "0.9", "n/a", "n/a"],
            "Distance from others 1.3 (typical: 1); other rest would reproduce 90% of its square",
        ),
        (
            ["2", "n/a", "n/a", "0.5", "0.6667"],
            "Distance from others 2.0 (typical: 1); reliability by halves 0.67",
        ),
        (["n/a", "n/a", "n/a", "n/a", "n/a"], ""),
        (["far", "n/a", "n/a", "n/a", "n/a"], ""),
    ],
)
def test_a_contrast_has_the_words_that_its_row_allows(tmp_path, cells, words):
    job = TinyJob(tmp_path)
    assert job.run() == 0
    (made,) = find_participant(DerivativeDataset(job.out), "01").averages
    assert individuality_words(made) == {}
    named = made.maps[0].path.name.replace("_desc-synthetic_", "_desc-individuality_")
    label = made.maps[0].label
    table = made.maps[0].path.with_name(
        named.replace(f"_contrast-{label}", "").replace(".nii.gz", ".tsv")
    )
    write_tsv(table, COLUMNS, [[label, *cells]])
    assert individuality_words(made) == {label: words}
