"""Published models into bundles: fetched, verified, converted, in one step or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from bids_dtg.bundles.bundle import ModelBundle, load_bundle
from bids_dtg.bundles.output_layer import compare_with_published
from bids_dtg.bundles.published_people import published_people
from bids_dtg.bundles.registry import PUBLISHED, PublishedModel
from bids_dtg.bundles.writer import move_bundle
from bids_dtg.errors import BundleError, OutputError, SettingsError
from bids_dtg.files.download import TransferReporter, obtain_file

PUBLIC_HOST = "https://raw.githubusercontent.com"
MIRROR_VARIABLE, OFFLINE_VARIABLE = "DTG_MODEL_MIRROR", "DTG_OFFLINE"
# Below the folder of bundles: downloads, the lock, bundles in the making.
WORK_FOLDER = ".downloads"


def fetch_models(
    models: Sequence[PublishedModel],
    folder: Path,
    reporter: TransferReporter,
    env: Mapping[str, str] | None = None,
) -> list[ModelBundle]:
    """Make bundles of published models; those that are there already are verified only.

    One process at a time works in a folder; others wait, and find its bundles. What was
    fetched of a model is kept until its bundle is there.

    Parameters
    ----------
    models
        What to fetch.
    folder
        The bundles become subfolders of it, under the models' names.
    reporter
        Is given the progress.
    env
        Environment; that of the process if None. Besides what `requests` reads in that of
        the process (proxies, certificates): `DTG_MODEL_MIRROR`, bases of URLs that are
        asked before GitHub, and `DTG_OFFLINE`.

    Returns
    -------
    The bundles, verified, in the order of `models`.

    Raises
    ------
    BundleError
        If a file cannot be had with the right content, or a bundle that is there already is
        damaged or another one.
    OutputError
        If the folder cannot be written.
    SettingsError
        If a mirror is no URL.
    """
    env = os.environ if env is None else env
    if all(_is_there(folder / model.name) for model in models):
        return [_verified(folder / model.name, model) for model in models]
    hosts = download_hosts(env)
    if not hosts:
        raise BundleError(f"nothing is fetched: {OFFLINE_VARIABLE} is set")
    with _work_folder(folder, reporter) as work:
        bundles = []
        for model in models:
            target = folder / model.name
            if _is_there(target):
                bundles.append(_verified(target, model))
            else:
                bundles.append(
                    _make_bundle(model, target, work=work, hosts=hosts, reporter=reporter)
                )
                for line in compare_with_published(
                    bundles[-1], (folder / name for name in PUBLISHED)
                ):
                    reporter.note(line)
        for file in {file for model in models for file in model.files}:
            (work / file.local_name).unlink(missing_ok=True)
        return bundles


def download_hosts(env: Mapping[str, str]) -> list[str]:
    """List the bases of URLs to ask, in order: mirrors, then GitHub; none where offline.

    Raises
    ------
    SettingsError
        If a mirror is no URL.
    """
    if env.get(OFFLINE_VARIABLE, "0") not in ("", "0"):
        return []
    mirrors = env.get(MIRROR_VARIABLE, "").split()
    for mirror in mirrors:
        if not mirror.startswith(("https://", "http://")):
            raise SettingsError(
                f"{MIRROR_VARIABLE} has {mirror!r}",
                expected="addresses that begin with https:// or http://, with spaces between",
            )
    return [*(mirror.rstrip("/") for mirror in mirrors), PUBLIC_HOST]


@contextmanager
def _work_folder(folder: Path, reporter: TransferReporter) -> Iterator[Path]:
    """Hold the folder of downloads for this process alone, without what killed ones left."""
    from filelock import FileLock, Timeout

    work = folder / WORK_FOLDER
    try:
        work.mkdir(parents=True, exist_ok=True)
        lock = FileLock(work / "lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            reporter.note(f"waiting for another process that fetches into {folder}")
            lock.acquire()
    except (OSError, NotImplementedError) as err:
        reason = getattr(err, "strerror", None) or err
        raise OutputError(
            f"{folder} cannot be written: {reason}",
            remedy="choose a folder with dtg-models fetch --into FOLDER, and name it in "
            "DTG_MODEL_DIR",
        ) from err
    try:
        for left in work.iterdir():
            if left.is_dir():
                shutil.rmtree(left, ignore_errors=True)
        yield work
    finally:
        lock.release()


def _make_bundle(
    model: PublishedModel,
    target: Path,
    *,
    work: Path,
    hosts: Sequence[str],
    reporter: TransferReporter,
) -> ModelBundle:
    from bids_dtg.bundles.convert import CheckpointFiles, ModelFacts, convert_checkpoint

    reporter.note(f"fetching {model.name} {model.version} into {target}")
    reporter.note(model.notice)
    paths = {file: obtain_file(file, work, hosts, reporter) for file in model.files}
    reporter.note(f"converting {model.checkpoint.name}")
    files = CheckpointFiles(
        checkpoint=paths[model.checkpoint],
        maps=paths[model.maps],
        brain_mask=paths[model.brain_mask],
        mask=paths[model.mask],
    )
    facts = ModelFacts(
        name=model.name,
        version=model.version,
        licence=model.licence,
        citation=model.citation,
        description=model.description,
        training=model.training,
        segment_seconds=model.segment_seconds,
        notice=model.notice,
        record={"published_files": [asdict(file) for file in model.files]},
        sources=model.sources,
        people=published_people(model),
    )
    return move_bundle(convert_checkpoint(files, work / model.name, facts), target)


def _is_there(target: Path) -> bool:
    return target.is_symlink() or target.exists()


def _verified(target: Path, model: PublishedModel) -> ModelBundle:
    again = f"remove it with dtg-models remove {model.name}, then fetch it again"
    try:
        bundle = load_bundle(target)
    except BundleError as err:
        raise BundleError(err.found, expected=err.expected, remedy=again) from err
    if (bundle.card.name, bundle.card.version) != (model.name, model.version):
        raise BundleError(
            f"{target} holds {bundle.card.name} {bundle.card.version}",
            expected=f"{model.name} {model.version}",
            remedy=again,
        )
    return bundle
