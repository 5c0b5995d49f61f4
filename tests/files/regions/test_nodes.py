"""Node files: what the rows of matrices are."""

from __future__ import annotations

import json

import pytest

from bids_dtg.files.derivatives import DerivativeDataset
from bids_dtg.files.regions.nodes import Measure, NodeFile, relationship_facts

PARCELS = NodeFile("MNI152NLin6Asym", "Two", {3: "left", 7: "right"}, "Parcels of two")


@pytest.mark.parametrize(("overlap", "suffix"), [(False, "dseg"), (True, "probseg")])
def test_the_link_of_a_matrix_leads_to_the_names_of_its_rows(tmp_path, overlap, suffix):
    nodes = NodeFile(PARCELS.space, PARCELS.label, PARCELS.names, "Parts", overlap=overlap)
    nodes.write(DerivativeDataset(tmp_path))
    (link,) = relationship_facts(Measure("r", "how"), nodes)["NodeFiles"]
    path = tmp_path / link.removeprefix("bids::")
    assert path.name == f"tpl-MNI152NLin6Asym_seg-Two_{suffix}.tsv"
    assert path.read_text() == "index\tname\n3\tleft\n7\tright\n"
    sidecar = json.loads(path.with_suffix(".json").read_text())
    assert sidecar["Description"] == "Parts"


def test_a_file_that_is_right_is_left_alone_and_another_atlas_of_the_name_is_written(tmp_path):
    dataset = DerivativeDataset(tmp_path)
    PARCELS.write(dataset)
    path = tmp_path / PARCELS.path
    before = path.stat().st_mtime_ns
    PARCELS.write(dataset)
    assert path.stat().st_mtime_ns == before
    other = NodeFile(PARCELS.space, PARCELS.label, {1: "all"}, "One parcel")
    other.write(dataset)
    assert path.read_text() == "index\tname\n1\tall\n"


def test_what_cannot_be_negative_says_so():
    facts = relationship_facts(Measure("weight", "how", non_negative=True), PARCELS)
    assert (facts["NonNegative"], facts["RelationshipMeasure"]) == (True, "weight")
