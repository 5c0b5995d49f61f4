"""People and their maps laid out from the files of an output folder, as typed."""

from __future__ import annotations

import json
import sys
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from maps_job import read_table

from bids_dtg.stats.embedding import umap_is_missing


@pytest.fixture(scope="module")
def folder(cohort):
    assert cohort.analyse("embed", "--phenotype", "sex", "--permutations", 99) == 0
    return cohort.out / "group/embed"


def test_coordinates_are_the_principal_components_of_the_files(cohort, folder):
    rows = [
        row
        for row in read_table(folder / "desc-people_coordinates.tsv")
        if row["features"] == "edges"
    ]
    assert [row["participant_id"] for row in rows] == [
        f"sub-{label}" for label in cohort.labels
    ]
    centred = cohort.truth.edges - cohort.truth.edges.mean(axis=0)
    left_vectors, sizes, _ = np.linalg.svd(centred, full_matrices=False)
    components = np.array([[float(row[f"pc{n}"]) for n in (1, 2, 3)] for row in rows])
    wanted = (left_vectors * sizes)[:, :3] / np.sqrt(centred.shape[1])
    np.testing.assert_allclose(np.abs(components), np.abs(wanted), rtol=1e-3, atol=1e-5)
    distances = [float(row["distance"]) for row in rows]
    np.testing.assert_allclose(
        distances, np.sqrt(np.square(centred).mean(axis=1)), rtol=1e-4
    )


def test_clusters_and_shares_are_in_one_table(folder):
    rows = read_table(folder / "desc-embedding_clusters.tsv")
    rows_by_kind = {(row["features"], row["points"], row["label"]): row for row in rows}
    people = rows_by_kind["edges", "people", "sex"]
    assert float(people["silhouette"]) > 0
    assert float(people["p"]) <= 0.05
    maps = rows_by_kind["maps", "maps", "contrast"]
    assert (maps["number"], maps["p"]) == (str(3 * 48), "n/a")
    assert 0 < float(maps["between_contrasts"]) < float(maps["between_people"]) < 1
    assert len(read_table(folder / "desc-maps_coordinates.tsv")) == 3 * 48


def test_the_page_has_the_answer_first_and_the_tables_their_meanings(folder):
    page = (folder / "statistics_report.html").read_text()
    assert page.index("the first two components explain") < page.index(
        "Nearest to the mean"
    )
    words = json.loads((folder / "desc-people_coordinates.json").read_text())
    assert {"distance", "pc1", "umap1"} <= set(words)


@pytest.mark.skipif(umap_is_missing(), reason="umap-learn is not installed")
def test_umap_lays_people_out_by_what_they_share(cohort, folder):
    """People who are near to each other in all columns are so in the picture."""
    rows = read_table(folder / "desc-people_coordinates.tsv")
    rows = [row for row in rows if row["features"] == "edges"]
    places = np.array([[float(row["umap1"]), float(row["umap2"])] for row in rows])
    distances, drawn = (
        np.linalg.norm(values[:, None] - values, axis=-1)
        + np.diag([np.inf] * len(rows))
        for values in (cohort.truth.edges, places)
    )
    nearest = distances.argmin(axis=1)
    ranks = (drawn < drawn[np.arange(len(rows)), nearest][:, None]).sum(axis=1)
    assert np.median(ranks) <= 5


@pytest.mark.slow
def test_umap_begins_at_the_components_of_those_who_are_drawn(
    cohort, monkeypatch, capsys
):
    umap = SimpleNamespace(
        UMAP=lambda init, **_: SimpleNamespace(fit_transform=lambda _: init)
    )
    umap.__spec__ = umap
    monkeypatch.setitem(sys.modules, "umap", umap)
    monkeypatch.setattr("bids_dtg.statistics.embed._MOST_PEOPLE", 20)
    assert cohort.analyse("embed", "--name", "umap", "--voxels") == 0
    log = capsys.readouterr().err
    assert "3 of 3: " in log
    assert "laid out: 20 of 48 participants, drawn with seed 0" in log
    rows = pd.read_csv(
        cohort.out / "group/embed-umap/desc-people_coordinates.tsv", sep="\t"
    )
    rows = rows[rows["features"] == "edges"]
    assert len(rows) == 20
    scores, layout = (
        rows[["pc1", "pc2"]].to_numpy(),
        rows[["umap1", "umap2"]].to_numpy(),
    )
    np.testing.assert_allclose(layout, 10 * scores / np.abs(scores).max(), rtol=1e-4)


@pytest.mark.slow
def test_three_people_and_many_levels_are_refused(cohort, capsys):
    assert cohort.analyse("embed", "--participant-label", *cohort.labels[:3]) == 2
    assert "too few participants to lay out" in capsys.readouterr().err
    assert cohort.analyse("embed", "--phenotype", "age") == 2
    assert " levels. Expected: 2 to 10" in capsys.readouterr().err
