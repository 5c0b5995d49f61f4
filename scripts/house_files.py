"""Which modules open files, and which may."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping

from house_source import House, Module, full_name, is_in

# Where files may be opened: modules and folders of the package, each with its reason.
OPEN_FILES = {
    "files": "BIDS names; whole files or none",
    "inputs": "what is read of a dataset",
    "imaging": "images and transforms",
    "bundles": "models",
    "report": "pages and panels",
    "phantom": "simulated datasets are written",
    **{
        f"{slice_}.{room}": "the slice's part of what the room of that name writes and reads"
        for slice_ in ("contrasts", "dynamics", "twin")
        for room in ("bundle", "panels", "phantom")
    },
    "cohort": "the folder of results",
    "training": "the cache of training",
    "engine.machine": "/proc and /sys only: limits of memory and cores",
    "notices": "os.devnull only, in place of a stream that fails",
    "streams": "os.devnull only, in place of a closed stream",
}
# What a folder may use although it opens no files itself.
OPEN_EXCEPTIONS = {
    "cleaning": "nilearn.interfaces.fmriprep.load_confounds",
    "cli.exits": "mmap.mmap",  # memory that processes share, no file
    "engine.head_start": "mmap.mmap",
}
# Where text is read: what others wrote passes one door, and the others read what is ours.
READ_TEXT = {
    "files.foreign": "the door: regular files only, within limits",
    "files.text": "what ships inside the package",
    "files.atomic": "/proc only",
    "files.locks": "notes of calls like this one",
    "engine.machine": "/proc and /sys only",
    "report.pages.page": "what ships inside the package",
    "streams": "writes to os.devnull only",
}
_TEXT_READERS = re.compile(
    r"\.read_(text|bytes)|csv\.(reader|DictReader)|(json|tomllib|tomli)\.load|(tomllib|tomli)\.loads"
    r"|pandas\.read_\w+|numpy\.(loadtxt|genfromtxt)"
)
_OPENERS = re.compile(
    r"(io|gzip|bz2|lzma|codecs|tarfile)\.open|zipfile\.ZipFile|isal\..*open.*|sqlite3\.connect"
    r"|(json|pickle|tomllib|tomli)\.(load|dump)|safetensors\.(safe_open|\w+\.(load|save)_file)"
    r"|nibabel\.(load|save)|h5py\.File|torch\.(load|save)"
    r"|numpy\.(load|save|savez|savez_compressed|loadtxt|savetxt|genfromtxt|fromfile|memmap)"
    r"|numpy\.lib\.format\.open_memmap|scipy\.io\.(loadmat|savemat)|mmap\.mmap"
    r"|pandas\.(read_\w+|HDFStore)|nilearn\..*\.load_confounds\w*|tempfile\.\w+"
    r"|shutil\.(copy\w*|move|rmtree|make_archive|unpack_archive)"
    r"|os\.(open|remove|rename|replace|unlink|mkdir|makedirs|rmdir|link|symlink|truncate)"
)
_METHODS = re.compile(
    r"(read|write)_(text|bytes)|mkdir|rmdir|unlink|touch|(sym|hard)link_to|extractall"
    r"|to_csv|tofile|(from|to)_filename"
)
_MODE = re.compile(r"[rwxabt+]{1,4}")
_KEYWORDS = {"mode", "encoding", "newline", "errors", "buffering"}


def may_open(house: House, module: Module) -> bool:
    """Whether a module may open files."""
    return any(is_in(house.inner(module.name), place) for place in OPEN_FILES)


def opened(house: House, module: Module) -> set[str]:
    """Return what a module uses that opens, makes, moves or removes files.

    Looking (exists, glob, stat) is not opening. Methods are known by their name; `path.open()`
    without a mode or an option is not seen, since objects of our own have a method `open` too.
    """
    used = {_opener(node, module.origins) for node in module.nodes}
    inner = house.inner(module.name)
    excepted = {name for place, name in OPEN_EXCEPTIONS.items() if is_in(inner, place)}
    return {name for name in used if name} - excepted


def reads_text(house: House, module: Module) -> set[str]:
    """Return what a module reads text with, where it should ask the door."""
    if any(is_in(house.inner(module.name), place) for place in READ_TEXT):
        return set()
    used = {_text_reader(node, module.origins) for node in module.nodes}
    return {name for name in used if name}


def _text_reader(node: ast.AST, names: Mapping[str, str]) -> str | None:
    full = full_name(node, names)
    if full is not None and _TEXT_READERS.fullmatch(full):
        return full
    if isinstance(node, ast.Attribute) and _is_of_path(full):
        return f".{node.attr}" if _TEXT_READERS.fullmatch(f".{node.attr}") else None
    if isinstance(node, ast.Call) and _opening_call(node, names) in ("open", ".open"):
        in_text = any(word.arg in ("encoding", "newline") for word in node.keywords)
        return ".open in text mode" if in_text else None
    return None


def _opener(node: ast.AST, names: Mapping[str, str]) -> str | None:
    """Return what a part of the source opens files with, if it does."""
    if isinstance(node, ast.Call):
        return _opening_call(node, names)
    full = full_name(node, names)
    if full is not None and _OPENERS.fullmatch(full):
        return full
    if isinstance(node, ast.Attribute) and _METHODS.fullmatch(node.attr) and _is_of_path(full):
        return f".{node.attr}"
    return None


def _opening_call(call: ast.Call, names: Mapping[str, str]) -> str | None:
    """Recognise the calls whose name alone says too little: open, rename, replace."""
    function = call.func
    if isinstance(function, ast.Name):
        return "open" if function.id == "open" and "open" not in names else None
    if not isinstance(function, ast.Attribute) or not _is_of_path(full_name(function, names)):
        return None
    is_move = function.attr in ("rename", "replace") and len(call.args) == 1 and not call.keywords
    return f".{function.attr}" if is_move or (function.attr == "open" and _has_mode(call)) else None


def _is_of_path(full: str | None) -> bool:
    """Whether a method may be a path's: what is imported from elsewhere than pathlib is not."""
    return full is None or full.startswith("pathlib.")


def _has_mode(call: ast.Call) -> bool:
    """Whether a method `open` is a path's: it has a mode or an option of text."""
    modes = [a.value for a in call.args if isinstance(a, ast.Constant) and isinstance(a.value, str)]
    keywords = {keyword.arg for keyword in call.keywords}
    return any(map(_MODE.fullmatch, modes)) or bool(keywords & _KEYWORDS)
