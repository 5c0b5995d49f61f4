"""What is written of an average: chosen contrasts and kinds, and what later calls add."""

import json

import nibabel as nib
import numpy as np
import pytest
from tiny_bundle import TINY_AFFINE, TINY_SHAPE
from tiny_job import TinyJob, read_table, tree

from bids_dtg.contrasts.contrast import Contrast
from bids_dtg.contrasts.participant.outputs.choice import choose, lacking
from bids_dtg.errors import SettingsError

KNOWN = tuple(
    Contrast(n, label, task, label, "")
    for n, (label, task) in enumerate([("faces", "EMOTION"), ("shapes", "EMOTION"), ("math", "")])
)
QUALITY = "_qc.tsv"


class RegionJob(TinyJob):
    """A tiny job with an atlas of its own: parcels of Schaefer's lie beside its mask."""

    def arguments(self, *more, out=None):
        atlas = self.folder / "atlas-Mine_space-MNI152NLin6Asym_dseg.nii.gz"
        if not atlas.exists():
            labels = np.arange(np.prod(TINY_SHAPE)).reshape(TINY_SHAPE) % 5
            nib.save(nib.Nifti1Image(labels.astype(np.int16), TINY_AFFINE), atlas)
        return super().arguments("--atlases", atlas, *more, out=out)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    job = RegionJob(tmp_path_factory.mktemp("whole"))
    assert job.run() == 0
    return job


def written(out):
    return {
        name: digest
        for name, digest in tree(out).items()
        if name.startswith(("sub-01", "tpl-")) and not name.endswith(QUALITY)
    }


def record(out):
    (path,) = (out / "logs/complete").glob("*.json")
    return json.loads(path.read_text())


def test_a_task_names_its_contrasts_and_labels_are_read_in_any_case():
    assert choose(KNOWN, ["emotion"], ())["contrast"] == ["faces", "shapes"]
    assert choose(KNOWN, ["MATH", "Faces"], ())["contrast"] == ["faces", "math"]


@pytest.mark.parametrize(
    ("contrasts", "kinds", "says"),
    [
        (["facs"], [], "--contrast names facs, .*or tasks: EMOTION.*did you mean faces"),
        (["zzz"], [], "--contrast names zzz, which the model does not predict"),
        ([], ["map"], "--write is 'map'.*one of maps, regions.*did you mean maps"),
    ],
)
def test_unknown_names_are_refused(contrasts, kinds, says):
    with pytest.raises(SettingsError, match=says):
        choose(KNOWN, contrasts, kinds)


def test_a_record_that_was_changed_by_hand_counts_as_far_as_it_can_be_read():
    wanted = choose(KNOWN, ["faces"], ["maps"])
    assert lacking(wanted, {}) == "not written yet: faces, maps"
    assert lacking(wanted, {"Made": 5}) == "not written yet: faces, maps"
    assert lacking(wanted, {"Made": {"contrast": [3, "faces"], "write": ["maps"]}}) is None
    assert lacking(wanted, {"Made": {"contrast": ["faces"], "write": "maps"}}) is not None


@pytest.mark.slow
def test_files_of_chosen_contrasts_are_the_bytes_of_the_whole_run(whole, tmp_path):
    first = whole.bundle.contrasts[0].label
    out = tmp_path / "out"
    assert whole.run("--contrast", first.upper(), out=out) == 0
    everything, some = written(whole.out), written(out)
    maps = {name for name in everything if "_contrast-" in name}
    assert {name for name in some if "_contrast-" in name} == {
        name for name in maps if f"_contrast-{first}_" in name
    }
    several = {name for name in some if some[name] != everything.get(name)}
    # What is of all contrasts: the table, and the sidecar.
    assert {name.rpartition("_")[2] for name in several} == {"statmap.tsv", "statmap.json"}
    (table,) = out.glob("sub-01/func/*_desc-regions_statmap.tsv")
    theirs = whole.out / table.relative_to(out)
    assert table.read_text() == "".join(
        line
        for n, line in enumerate(theirs.read_text().splitlines(keepends=True))
        if not n or line.startswith(f"{first}\t")
    )


@pytest.mark.slow
def test_a_later_call_adds_and_never_takes_away(whole, tmp_path, capsys):
    labels, out = [contrast.label for contrast in whole.bundle.contrasts], tmp_path / "out"
    assert whole.run("--contrast", labels[0], "--write", "maps", out=out) == 0
    assert record(out)["Made"] == {"contrast": labels[:1], "write": ["maps"]}
    assert not list(out.glob("sub-01/func/*_desc-regions_statmap.tsv"))
    dry = ("--contrast", labels[1], "--write", "regions", "--dry-run")
    assert whole.run(*dry, out=out) == 0
    assert f"not written yet: {labels[1]}, regions" in capsys.readouterr().out
    assert whole.run("--contrast", labels[1], "--write", "regions", out=out) == 0
    (table,) = out.glob("sub-01/func/*_desc-regions_statmap.tsv")
    assert {row["contrast"] for row in read_table(table)} == set(labels[:2])
    before = tree(out, but=())
    assert whole.run("--contrast", labels[0], "--write", "maps", out=out) == 0
    assert "complete, skipped" in capsys.readouterr().err
    after = tree(out, but=())
    assert before.items() <= after.items() or {k for k in before if before[k] != after[k]} <= {
        name for name in before if name.startswith("logs/") or name == "log"
    }
    assert whole.run(out=out) == 0
    assert written(out) == written(whole.out)
    assert record(out)["Made"] == {"contrast": labels, "write": ["maps", "regions"]}


@pytest.mark.slow
def test_without_maps_pages_tables_and_provenance_are_there(tmp_path):
    job = RegionJob(tmp_path)
    job.reports = True
    assert job.run("--write", "regions") == 0
    assert not list(job.out.glob("sub-01/func/*_statmap.nii.gz"))
    page = (job.out / "sub-01.html").read_text()
    assert "without maps" in page
    assert 'id="provenance"' in page
    assert "not written (--write)" in page
