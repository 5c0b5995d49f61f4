"""The files of a state, and what of them may differ between two calls of the same program.

Two files are *same* if their bytes are, *masked* if they are the same once `masked` has taken out
what it may, and else *different*.
"""

from __future__ import annotations

import fnmatch
import io
import json
import re
import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path

from state_details import ARRAYS, describe

_SHOWN = 40  # characters before and after the first difference of texts
RECORD = "state.json"  # written last, so that a state that has it is whole
_RUN_ID = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{6}")
_TEXTS = (".cff", ".csv", ".html", ".json", ".md", ".toml", ".tsv", ".txt", "README", ".bidsignore")

# Columns of tables that say how long something took.
_TIMES = {
    "*.tsv": "seconds_processing",
    "*/desc-training_history.tsv": "seconds",
    "*/desc-restarts_scores.tsv": "hours",
}
# What was made from which files.
_RECORDS = "*/logs/complete/*.json|*/group/cache/*.json"


@dataclass(frozen=True)
class Mask:
    """A part of files that is taken out before they are compared."""

    files: str  # which, as patterns of their paths below the state with | between them
    pattern: str  # what; a group named `keep` stays
    why: str  # it may differ
    put: str = "MASKED"  # in its place

    def apply(self, match: re.Match[str]) -> str:
        """Return what a match becomes."""
        return (match.groupdict().get("keep") or "") + self.put


MASKS = (
    Mask("*.txt", r"(?m)^\d\d:\d\d:\d\d ", "the time of day at which a line was said", ""),
    Mask("*.txt", r"(?m)(?P<keep>written in |, )\d+ s$", "how long a person or an epoch took"),
    Mask("*.txt", r"(?m)(?P<keep>: loss .* )\([\d.]+ s\)$", "how long an epoch took"),
    Mask("*.txt", r"(?m)^(?P<keep>done in ).*$", "how long a demo took"),
    Mask(
        "*.txt",
        r"(?m)^\d+ reports? (is|are) still to be made\n",
        "whether reports, which other processes make, were done before the maps",
        "",
    ),
    Mask("processes/said/*", r"\[\d/\d\] ", "which of several processes is done first"),
    Mask("*/logs/*/timing.json", r"(?P<keep>: )[\d.]+", "seconds"),
    Mask(
        "*/logs/complete/*.json",
        r'(?P<keep>"Completed": )"[^"]+"',
        "the time at which a set of maps was complete",
    ),
    Mask(
        f"{_RECORDS}|*/data_sha256.json",
        r'(?P<keep>"mtime_ns": )\d+',
        "the time at which a file was written",
    ),
    Mask(
        _RECORDS,
        r'(?P<keep>(_qc\.tsv|\.nii\.gz)": )\{[^}]*\}',
        "size and checksums of files that are compared themselves, with masks or inflated",
    ),
    Mask("*.html", r"\d{4}-\d\d-\d\d \d\d:\d\d UTC", "the minute at which a page was made"),
    Mask("*.html", r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", "when a set of maps was complete"),
    Mask("*.html", r"(?P<keep>seconds_processing</dt><dd>)[\d.]+", "how long a run took"),
    Mask(
        "*/network_report.html",
        r'(?P<keep><td class="number" )data-value="[^"]+">[^<]+(?=</td><td class="number" '
        r'data-value="(True|False)">)',
        "how many hours a training took, beside whether it was chosen",
    ),
    Mask(
        "*/configuration_sha256.json",
        r'(?P<keep>"(bids_dir|derivatives|model|input_arrays)": )"\w+"',
        "digests of whole paths; their names stand in the configuration beside it",
    ),
    Mask("*/bundle/model.json", r'(?P<keep>"(seconds|hours)": )[\d.]+', "how long training took"),
)


@dataclass(frozen=True)
class State:
    """What one checkout has written."""

    folder: Path  # where it is now
    made_in: str  # the folder that it was made in, which stands in some texts
    code: str  # the checkout, likewise
    calls: tuple[str, ...]  # the folders to compare

    @classmethod
    def read(cls, folder: Path) -> State:
        """Read what `write` has written; raises FileNotFoundError where a state is not whole."""
        return cls(folder, **json.loads((folder / RECORD).read_text("utf-8")))

    def write(self) -> None:
        """Write the record that says that the state is whole."""
        record = {"made_in": self.made_in, "code": self.code, "calls": self.calls}
        (self.folder / RECORD).write_text(json.dumps(record, indent=2) + "\n", "utf-8")

    def files(self, call: str) -> dict[str, Path]:
        """Find the files of a call by their paths, in which runs of the program are numbered."""
        paths = sorted(path for path in (self.folder / call).rglob("*") if path.is_file())
        names = [path.relative_to(self.folder).as_posix() for path in paths]
        found = dict.fromkeys(run for name in names for run in _RUN_ID.findall(name))
        runs = {run: f"RUN-{number}" for number, run in enumerate(sorted(found), 1)}
        return {
            _RUN_ID.sub(lambda match: runs[match[0]], name): path
            for name, path in zip(names, paths, strict=True)
        }


@dataclass
class Difference:
    """What comparing one call has found; all names are paths below a state."""

    same: list[str] = field(default_factory=list)
    masked: list[str] = field(default_factory=list)  # same but for the masks
    different: dict[str, str] = field(default_factory=dict)  # and where they begin to differ
    details: dict[str, list[str]] = field(default_factory=dict)  # what of them differs

    @property
    def count(self) -> int:
        """How many files were compared."""
        return len(self.names)

    @property
    def names(self) -> list[str]:
        """All files that were compared."""
        return [*self.same, *self.masked, *self.different]


def compare(first: State, second: State, call: str) -> Difference:
    """Compare the files of a call in two states."""
    difference = Difference()
    files, others = first.files(call), second.files(call)
    for name in sorted({*files, *others}):
        if name not in files or name not in others:
            where = second if name in others else first
            difference.different[name] = f"only in {where.folder}"
            continue
        data, other = files[name].read_bytes(), others[name].read_bytes()
        if data == other:
            difference.same.append(name)
            continue
        left, right = masked(name, data, first), masked(name, other, second)
        if left == right:
            difference.masked.append(name)
            continue
        difference.different[name] = _first_difference(name, left, right)
        raw = is_array(name)
        difference.details[name] = describe(name, *((data, other) if raw else (left, right)))
    return difference


def is_array(name: str) -> bool:
    """Whether a file of this name is an image, or holds arrays."""
    return name.endswith(ARRAYS)


def masked(name: str, data: bytes, state: State) -> bytes:
    """Take out of a file what may differ; no value of an image, array or tensor may.

    A file that is not what its name promises stays as it is.
    """
    forms = {".nii.gz": _inflated, ".ckpt": _tensors, ".safetensors": _without_order}
    form = next((form for ending, form in forms.items() if name.endswith(ending)), None)
    try:
        if form is not None:
            return form(data)
        return _masked_text(name, data.decode(), state).encode() if _is_text(name) else data
    except (ValueError, zlib.error, zipfile.BadZipFile):
        return data


def _is_text(name: str) -> bool:
    return name.endswith(_TEXTS)


def _masked_text(name: str, text: str, state: State) -> str:
    text = text.replace(state.made_in, "FOLDER").replace(state.code, "CODE")
    text = _RUN_ID.sub("RUN", text)
    for mask in MASKS:
        if _is_one_of(name, mask.files):
            text = re.sub(mask.pattern, mask.apply, text)
    if name.startswith("processes/said/"):  # in no order, see the mask
        text = "\n".join(sorted(text.splitlines()))
    timed = {column for files, column in _TIMES.items() if _is_one_of(name, files)}
    return _without_columns(text, timed) if timed else text


def _is_one_of(name: str, files: str) -> bool:
    """Whether a path is one of those that patterns with | between them name."""
    return any(fnmatch.fnmatch(name, pattern) for pattern in files.split("|"))


def _without_columns(table: str, columns: set[str]) -> str:
    """Mask columns of a table."""
    header, *rows = (line.split("\t") for line in table.split("\n"))
    timed = [number for number, column in enumerate(header) if column in columns]
    for row in rows:
        for number in timed:
            if number < len(row):
                row[number] = "MASKED"
    return "\n".join("\t".join(row) for row in (header, *rows))


def _inflated(image: bytes) -> bytes:
    """Inflate an image, or the part of it that is there.

    ISA-L, which compresses maps fast, now and then (2 of 1,000 files) chooses another of two
    equally long matches for the same values.
    """
    stream = zlib.decompressobj(wbits=31)
    return stream.decompress(image) + stream.unused_data


def _tensors(checkpoint: bytes) -> bytes:
    """Return names and bytes of the tensors of a training's checkpoint.

    Left out is the pickled rest, which has seconds and paths in it: these files only resume a
    training that was stopped, and the weights of its bundle are compared.
    """
    with zipfile.ZipFile(io.BytesIO(checkpoint)) as archive:
        names = [name for name in sorted(archive.namelist()) if "/data/" in name]
        return b"\n".join(name.encode() + b": " + archive.read(name) for name in names)


def _without_order(tensors: bytes) -> bytes:
    """Sort the metadata in the head of a file of tensors, which safetensors writes in no order."""
    start = 8 + int.from_bytes(tensors[:8], "little")
    head = json.loads(tensors[8:start])
    head["__metadata__"] = dict(sorted(head.get("__metadata__", {}).items()))
    return json.dumps(head).encode() + tensors[start:]


def _first_difference(name: str, data: bytes, other: bytes) -> str:
    pairs = enumerate(zip(data, other, strict=False))
    at = next((at for at, (a, b) in pairs if a != b), min(len(data), len(other)))
    if not _is_text(name):
        return f"from byte {at} of {len(data)} and {len(other)}"
    before, after = max(0, at - _SHOWN), at + _SHOWN
    shown = " and ".join(
        repr(text[before:after].decode(errors="replace")) for text in (data, other)
    )
    return f"line {data[:at].count(10) + 1}: {shown}"
