"""What is published of an output names no folder, user or host of the machine it was made on."""

from __future__ import annotations

import base64
import io
import os
import re
import shutil
import subprocess
import sys
import urllib.parse
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from fmriprep_dataset import write_confounds
from itk_files import affine_part, write_composite
from maps_bundle import TINY_AFFINE, tiny_masks
from maps_cohort import TinyCohort, read_json
from maps_job import FRAMES, add_rest, read_table

from bids_dtg.files.sidecars import read_inherited

_EMBEDDED = re.compile(rb"base64,([A-Za-z0-9+/=]{64,})")


def find_leaks(
    folder: Path, words: Sequence[str], *, but: Sequence[str] = ()
) -> dict[str, str]:
    """Return file -> the first of some words in its name or content, for those that hold one.

    `but` names folders at the top that are left out.
    """
    leaks = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if name.parts[0] in but:
            continue
        content = b"\n".join(_layers(path.read_bytes())) if path.is_file() else b""
        text = (str(name).encode() + b"\n" + content).lower()
        text += urllib.parse.unquote_to_bytes(text) if b"%" in text else b""
        hit = next((word for word in words if word.lower().encode() in text), None)
        if hit is not None:
            leaks[str(name)] = hit
    return leaks


def _layers(data: bytes) -> Iterator[bytes]:
    """Yield content, and what is packed in it: by gzip (as far as it goes), zip, as text."""
    yield data
    if data.startswith(b"\x1f\x8b"):
        yield from _layers(zlib.decompressobj(31).decompress(data))
    elif data.startswith(b"PK\x03\x04"):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            yield from map(archive.read, archive.namelist())
    for picture in _EMBEDDED.findall(data):
        with suppress(ValueError):
            yield from _layers(base64.b64decode(picture))


USER = "zqannlee"
HOST = "zqcluster17"
LABORATORY = "zqneurolab"
OTHER = "MNI152NLin2009cAsym"
SETS = {
    "training": ("01", "02", "03", "04", "05", "06"),
    "validation": ("07", "08"),
    "test": ("09", "10"),
}
LABELS = tuple(label for labels in SETS.values() for label in labels)
# Every Python process of the program learns these names, whichever way it asks for them.
_NAMES_OF_THIS_MACHINE = f"""
import getpass, os, platform, pwd, socket
known = os.uname()
os.uname = lambda: os.uname_result((known.sysname, "{HOST}", *known[2:]))
platform.node = socket.gethostname = socket.getfqdn = lambda *_: "{HOST}"
getpass.getuser = os.getlogin = lambda: "{USER}"
"""


class PrivateCohort:
    """A cohort in the folders of a user of a laboratory, whose every file lies in another folder.

    The image of sub-03 is damaged, sub-02 is in another template, a run of sub-01 is too short.
    """

    def __init__(self, folder: Path) -> None:
        self.home = folder / LABORATORY / f"{USER} home"
        self.job = TinyCohort(self.home / "study", LABELS)
        self.out = self.home / "results" / "maps"
        (bold,) = self.job.bids.glob("sub-03/func/*bold.nii.gz")
        bold.write_bytes(bold.read_bytes()[:3000])
        self.templateflow = self.home / "flow"
        self._put_into_other_template("02")
        add_rest(self.job.bids, "01", entities="run-2", frames=30)
        self.options = ["--model", self.job.model, "-d", f"fmriprep={self.job.bids}"]
        self.options += ["--custom-confounds", self._confounds()]
        self.atlas = self._atlas()
        self.options += ["--bids-filter-file", self._write("filters/mine.json", "{}")]
        self.options += [
            "--config-file",
            self._write("config/mine.toml", "[cleaning]\n"),
        ]
        self.split = self._write("splits/mine.tsv", self._split())
        names = self._write("site/sitecustomize.py", _NAMES_OF_THIS_MACHINE)
        self.environment = {
            **os.environ,
            **dict.fromkeys(("USER", "LOGNAME", "USERNAME"), USER),
            "HOME": str(self.home),
            "HOSTNAME": HOST,
            "TEMPLATEFLOW_HOME": str(self.templateflow),
            "PYTHONPATH": f"{names.parent}{os.pathsep}{os.environ.get('PYTHONPATH', '')}",
        }

    def run(self, level: str, *options: object) -> subprocess.CompletedProcess[str]:
        words = [
            self.job.bids,
            self.out,
            level,
            *self.options,
            "--omp-nthreads",
            1,
            *options,
        ]
        words += [] if "--analysis" in options else ["--atlases", self.atlas]
        return subprocess.run(
            [sys.executable, "-m", "bids_dtg.cli", *map(str, words)],
            env=self.environment,
            cwd=self.home,
            capture_output=True,
            text=True,
            check=False,
        )

    def analyse(
        self, analysis: str, *options: object
    ) -> subprocess.CompletedProcess[str]:
        maps = ("-d", f"statmaps={self.job.statmaps}", "--split-file", self.split)
        return self.run("group", "--analysis", analysis, *maps, *options)

    def leaks(self, *, but: tuple[str, ...] = ("logs",)) -> dict[str, str]:
        return find_leaks(self.out, (USER, HOST, LABORATORY), but=but)

    def _write(self, name: str, text: str) -> Path:
        path = self.home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def _split(self) -> str:
        rows = [
            f"sub-{label}\t{name}\n"
            for name, labels in SETS.items()
            for label in labels
        ]
        return "participant_id\tset\n" + "".join(rows)

    def _confounds(self) -> Path:
        rng = np.random.default_rng(3)
        for label in LABELS:
            table = {"mine": [f"{x:.4f}" for x in rng.normal(size=FRAMES)]}
            name = f"sub-{label}_task-rest_desc-confounds_timeseries.tsv"
            write_confounds(self.home / "tables" / name, table)
        short = {"mine": [f"{x:.4f}" for x in rng.normal(size=30)]}
        name = "sub-01_task-rest_run-2_desc-confounds_timeseries.tsv"
        write_confounds(self.home / "tables" / name, short)
        return self.home / "tables"

    def _atlas(self) -> Path:
        path = self.home / "atlas" / "tpl-MNI152NLin6Asym_atlas-My_dseg.nii.gz"
        path.parent.mkdir()
        nib.save(nib.Nifti1Image(tiny_masks()[1].astype(np.int16), TINY_AFFINE), path)
        return path

    def _put_into_other_template(self, label: str) -> None:
        shutil.rmtree(self.job.bids / f"sub-{label}")
        add_rest(self.job.bids, label, space=OTHER, res="2", seed=1)
        name = f"tpl-MNI152NLin6Asym_from-{OTHER}_mode-image_xfm.h5"
        path = self.templateflow / "tpl-MNI152NLin6Asym" / name
        path.parent.mkdir(parents=True)
        write_composite(path, [affine_part(np.eye(4))])


@pytest.fixture(scope="module")
def cohort(tmp_path_factory) -> PrivateCohort:
    cohort = PrivateCohort(tmp_path_factory.mktemp("private"))
    words = ("--participant-label", "01", "02", "03", "--write", "maps", "connectome")
    words += ("--min-minutes", "6")
    done = cohort.run("participant", *words)
    assert (done.returncode, "2 sets of maps written" in done.stderr) == (1, True), (
        done.stderr
    )
    return cohort


@pytest.mark.slow
def test_a_run_of_three_people_names_no_folder_user_or_host(cohort):
    (sidecar, *_) = cohort.out.glob("sub-01/func/*desc-synthetic_statmap.nii.gz")
    (why,) = read_inherited(sidecar)["ExcludedRuns"].values()
    assert why.startswith("<input>/sub-01/func/sub-01_task-rest_run-2_"), why
    (damaged, *_) = cohort.out.glob("sub-02/func/*desc-synthetic_statmap.nii.gz")
    damaged.write_bytes(damaged.read_bytes()[:400])
    done = cohort.run("group", "--participant-label", "01", "02")
    assert done.returncode == 0, done.stderr
    assert (
        f"&lt;output&gt;/sub-02/func/{damaged.name}"
        in (cohort.out / "group.html").read_text()
    )
    assert cohort.leaks() == {}
    # What is shared of the logs: methods texts and completion records, but for where inputs lie.
    logs = {
        name.split("/")[1] for name in cohort.leaks(but=()) if name.startswith("logs/")
    }
    assert all(name == "input.json" or name.startswith("20") for name in logs), logs


@pytest.mark.slow
def test_a_model_of_ones_own_and_its_evaluation_name_none(cohort):
    ridge = ("--architecture", "linear", "--model-name", "mine")
    trained = cohort.analyse("train", *ridge)
    assert (trained.returncode, "validate, " in trained.stderr) == (1, True), (
        trained.stderr
    )
    bundle = cohort.out / "group/model-mine/bundle"
    judged = cohort.analyse("evaluate", "--model", bundle, "--model-name", "judged")
    assert "evaluation-judged" in judged.stderr, judged.stderr
    assert list((cohort.out / "group/cache").rglob("*.npy"))
    assert cohort.leaks() == {}
    # The same call is still known as such, and one with another folder as another.
    assert "holds results that were" not in cohort.analyse("train", *ridge).stderr
    second_training = cohort.analyse("train", *ridge, "--custom-confounds", cohort.home)
    assert "made with another --custom-confounds" in second_training.stderr
    configuration = (bundle.parent / "configuration.toml").read_text()
    assert 'bids_dir = "<input>"' in configuration
    assert '"statmaps=<statmaps>"' in configuration


@pytest.mark.slow
def test_the_terminal_shows_the_path_and_the_page_its_name(cohort):
    again = cohort.run("participant", "--participant-label", "03")
    (bold,) = cohort.job.bids.glob("sub-03/func/*bold.nii.gz")
    assert str(bold) in again.stderr
    page = (cohort.out / "sub-03.html").read_text()
    assert f"&lt;input&gt;/sub-03/func/{bold.name} ends at" in page


@pytest.mark.slow
def test_the_table_of_failures_has_set_run_and_stage_in_columns_of_their_own(cohort):
    tables = sorted(cohort.out.glob("logs/*/failures.tsv"))
    (row,) = read_table(tables[0])
    assert row.pop("message").startswith("<input>/sub-03/func/sub-03_task-rest_")
    title = "sub-03_task-rest"
    assert row == {
        "participant_id": "sub-03",
        "average": title,
        "run": title,
        "stage": "reading",
    }


def test_sources_elsewhere_are_named_as_templateflow_names_them(cohort):
    (sidecar, *_) = cohort.out.glob("sub-02/func/*desc-synthetic_statmap.nii.gz")
    name = f"tpl-MNI152NLin6Asym/tpl-MNI152NLin6Asym_from-{OTHER}_mode-image_xfm.h5"
    assert f"bids:templateflow:{name}" in read_inherited(sidecar)["Sources"]
    links = read_json(cohort.out / "dataset_description.json")["DatasetLinks"]
    assert links["templateflow"] == "https://github.com/templateflow/templateflow"
