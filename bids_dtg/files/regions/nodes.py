"""Node files: what the rows of matrices are (BEP 017), once for a dataset, below ``tpl-``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from bids_dtg.files.derivatives import DerivativeDataset
from bids_dtg.files.names import bids_uri, build_name
from bids_dtg.files.text import tsv_text


@dataclass(frozen=True)
class NodeFile:
    """The table of the nodes of matrices.

    Examples
    --------
    >>> regions = NodeFile("MNI152NLin6Asym", "Schaefer2018", {1: "Vis_1", 2: "Vis_2"}, "Parcels")
    >>> str(regions.path)
    'tpl-MNI152NLin6Asym/tpl-MNI152NLin6Asym_seg-Schaefer2018_dseg.tsv'
    """

    space: str  # of the images that the nodes are in
    label: str  # of seg-, letters and digits
    names: Mapping[int, str]  # by their index in the image, in the order of the matrices
    description: str
    overlap: bool = False  # whether the nodes are maps that overlap, not parcels

    @property
    def path(self) -> PurePosixPath:
        """Path of the table in the dataset."""
        named = {"tpl": self.space, "seg": self.label}
        suffix = "probseg" if self.overlap else "dseg"
        return PurePosixPath(f"tpl-{self.space}") / build_name(named, suffix, ".tsv")

    def write(self, output: DerivativeDataset) -> None:
        """Write the table and its sidecar, unless they are there.

        Raises
        ------
        OutputError
            They cannot be written.
        """
        sidecar = {
            "Description": self.description,
            "SpatialReference": f"https://templateflow.s3.amazonaws.com/tpl-{self.space}",
        }
        output.write_if_changed(self.path, tsv_text(["index", "name"], [*self.names.items()]))
        text = json.dumps(sidecar, indent=2, ensure_ascii=False) + "\n"
        output.write_if_changed(self.path.with_suffix(".json"), text)


def segment_label(*words: str) -> str:
    """Return words as a label of a BIDS entity: their letters and digits.

    Examples
    --------
    >>> segment_label("Schaefer2018", "7n", "400"), segment_label("hcp-ya")
    ('Schaefer20187n400', 'hcpya')
    """
    return "".join(c for word in words for c in word if c.isascii() and c.isalnum()) or "nodes"


@dataclass(frozen=True)
class Measure:
    """What the values of a matrix are."""

    name: str
    description: str  # how a value is found
    non_negative: bool = False  # whether no value can be below 0
    directed: bool = False  # whether rows follow from columns; else the matrix is symmetric


def relationship_facts(measure: Measure, nodes: NodeFile) -> dict[str, Any]:
    """Return what the proposal for relationship matrices (BEP 017) wants in their sidecars."""
    return {
        "RelationshipMeasure": measure.name,
        "MeasureDescription": measure.description,
        "Weighted": True,
        "Directed": measure.directed,
        # A region is related with its own past.
        "ValidDiagonal": measure.directed,
        "StorageFormat": "Full",
        "NonNegative": measure.non_negative,
        "NodeFiles": [bids_uri("", nodes.path)],
    }
