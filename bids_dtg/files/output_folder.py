"""The output folder: where it may be, and whether it can be written to."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import unquote, urlsplit

from bids_dtg.errors import SettingsError
from bids_dtg.files.atomic import temporary_name
from bids_dtg.files.derivatives import SourceDataset


def check_output_location(output_dir: Path, dataset: SourceDataset) -> Path:
    """Refuse an OUTPUT_DIR that would mix with the input or with another dataset.

    Nothing is made. Links are followed, so that no detour leads into the input.
    Returns the folder as an absolute path.

    Raises
    ------
    SettingsError
        If it is BIDS_DIR, in the derivatives or folders that are read, in a `sub-*` folder of a
        dataset, in a raw dataset elsewhere than `derivatives/NAME`, the folder
        of another dataset, or one of maps that were made from another input.
    """
    output = output_dir.expanduser().resolve()
    source, bids_dir = dataset.root.resolve(), dataset.bids_dir.resolve()
    remedy = "choose another OUTPUT_DIR"
    if bids_dir != source:
        remedy = f"choose e.g. {bids_dir / 'derivatives' / 'bids_dtg'}"
    if output in (bids_dir, source):
        raise SettingsError(f"OUTPUT_DIR {output} is the input dataset itself", remedy=remedy)
    if source in output.parents:
        raise SettingsError(
            f"OUTPUT_DIR {output} is inside the {dataset.title} {source}", remedy=remedy
        )
    for folder in (output, *output.parents):
        if folder.name.startswith("sub-") and _is_dataset(folder.parent):
            raise SettingsError(
                f"OUTPUT_DIR {output} is inside the participant's folder {folder}", remedy=remedy
            )
    derivatives = bids_dir / "derivatives"
    if bids_dir in output.parents and derivatives not in output.parents:
        raise SettingsError(
            f"OUTPUT_DIR {output} is inside the raw dataset {bids_dir}",
            expected=f"a folder below {derivatives}, or outside",
            remedy=remedy,
        )
    _refuse_other_dataset(output, dataset)
    return output


def prepare_output_folder(output_dir: Path) -> None:
    """Make the folder and check that files can be made in it.

    Raises
    ------
    SettingsError
        If it cannot be made or written to.
    """
    try:
        output_dir.mkdir(parents=True, exist_ok=True)
        probe = output_dir / temporary_name()
        # Permissions alone do not tell: mounts may be read-only, and root may do almost anything.
        probe.touch(exist_ok=False)
        probe.unlink()
    except OSError as err:
        raise SettingsError(
            f"OUTPUT_DIR {output_dir} cannot be written to: {err.strerror or err}",
            remedy="choose another folder, or change its permissions or mount",
        ) from err


def _refuse_other_dataset(output: Path, source: SourceDataset) -> None:
    path = output / "dataset_description.json"
    try:
        content = json.loads(path.read_text("utf-8-sig"))
    except (OSError, ValueError):
        return  # none yet, or broken: ours is written over it
    content = content if isinstance(content, dict) else {}
    made = content.get("GeneratedBy")
    first = made[0] if isinstance(made, list) and made else {}
    name = first.get("Name") if isinstance(first, dict) else None
    if name != "bids_dtg":
        raise SettingsError(
            f"OUTPUT_DIR {output} already holds another dataset ({name or 'a raw one'})",
            remedy="choose an empty folder, or one that bids_dtg made",
        )
    links = content.get("DatasetLinks")
    other = _linked_folder(links.get(source.name) if isinstance(links, dict) else None, output)
    # An input that moved leaves a link to nothing. One folder may be mounted at two places.
    if other is not None and not other.samefile(source.root):
        raise SettingsError(
            f"OUTPUT_DIR {output} holds results from {other}, not {source.root}",
            remedy=f"choose another OUTPUT_DIR, or remove {path} if both are the same data",
        )


def _linked_folder(link: object, output: Path) -> Path | None:
    """Return the folder that an entry of DatasetLinks leads to, None where there is none."""
    try:
        parts = urlsplit(link if isinstance(link, str) else "")
        folder = (output / unquote(parts.path)).resolve()
        local = parts.path and parts.scheme in {"", "file"}
        return folder if local and folder.is_dir() else None
    except (OSError, ValueError):
        return None  # no address, or a folder that we may not see


def _is_dataset(folder: Path) -> bool:
    return (folder / "dataset_description.json").is_file()
