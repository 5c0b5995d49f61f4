"""Error messages for users: what was found, what was expected, what to do."""

from __future__ import annotations

import difflib
import errno
import sys
from collections.abc import Iterable
from functools import partial
from typing import TypeVar

from bids_dtg.notices import one_line

# Remedies of bundles that are damaged, or of another version.
MAKE_BUNDLE_AGAIN = "fetch or make the bundle again"
MAKE_WITH_THIS_VERSION = f"{MAKE_BUNDLE_AGAIN} with this version of bids_dtg"


def did_you_mean(typed: str, names: Iterable[str], *, least: float = 0.6) -> str | None:
    """Suggest the name that is closest to one that does not exist.

    Parameters
    ----------
    typed
        The name that the user typed.
    names
        The names that exist.
    least
        Least similarity (0 to 1) of a name that is suggested.

    Returns
    -------
    A question, for use as a remedy; None if no name is similar.

    Examples
    --------
    >>> did_you_mean("stat", ["train", "stats"]), did_you_mean("faces", ["cue", "emotionFaces"])
    ('did you mean stats?', 'did you mean emotionFaces?')
    >>> did_you_mean("mni152nlin6asym", ["T1w", "MNI152NLin6Asym"])
    'did you mean MNI152NLin6Asym? Upper and lower case count'
    """
    names = list(names)
    for name in names:
        if name != typed and name.casefold() == typed.casefold():
            return f"did you mean {name}? Upper and lower case count"
    longer = [name for name in names if typed and typed.casefold() in name.casefold()]
    near = sorted(longer, key=len) or difflib.get_close_matches(
        typed, names, n=1, cutoff=least
    )
    return f"did you mean {near[0]}?" if near else None


class DtgError(Exception):
    """An error that the user can act on, shown as one line without a traceback.

    Parameters
    ----------
    found
        What was found, naming the file, participant or option.
    expected
        What was expected instead of what was found.
    remedy
        What the user can do about it.
    """

    def __init__(
        self, found: str, *, expected: str | None = None, remedy: str | None = None
    ):
        self.found = found
        self.expected = expected
        self.remedy = remedy
        parts = [found]
        if expected:
            parts.append(f"Expected: {expected}")
        if remedy:
            parts.append(f"To do: {remedy}")
        # Messages may quote other programs' text; a log line stays one line.
        line = " ".join(_sentence(part) for part in parts)
        super().__init__(one_line(line))

    def as_kind(
        self,
        kind: type[DtgError],
        before: str = "",
        *,
        expected: str | None = None,
        remedy: str | None = None,
    ) -> DtgError:
        """Return the same error as another class, with a prefix such as the option's name.

        Parameters
        ----------
        kind
            Class of the error that is returned.
        before
            Prefix of what was found.
        expected, remedy
            Replace this error's own texts if given.

        Examples
        --------
        >>> str(DtgError("t.tsv is a folder").as_kind(SettingsError, "--atlas: ", remedy="go"))
        '--atlas: t.tsv is a folder. To do: go.'
        """
        return kind(
            before + self.found,
            expected=expected or self.expected,
            remedy=remedy or self.remedy,
        )

    def __reduce__(self) -> tuple[object, ...]:
        make = partial(type(self), expected=self.expected, remedy=self.remedy)
        return make, (self.found,)


def _sentence(part: str) -> str:
    """End a part with a full stop, unless it ends with an ellipsis or a question mark.

    Examples
    --------
    >>> _sentence("a, b, ..."), _sentence("did you mean a?"), _sentence("found. ")
    ('a, b, ...', 'did you mean a?', 'found.')
    """
    plain = part.rstrip()
    return plain if plain.endswith(("...", "?")) else plain.rstrip(". ") + "."


class SettingsError(DtgError):
    """Wrong arguments or configuration; nothing was started (exit code 2)."""


class DatasetError(DtgError):
    """The dataset as a whole cannot be used; nothing was started (exit code 2)."""


class BundleError(DtgError):
    """A model bundle or checkpoint cannot be used (exit code 2)."""


class RunError(DtgError):
    """One participant's data cannot be used; the other participants are processed (exit code 1)."""


class ForeignFileError(DtgError):
    """A file from another program exists but cannot be read, or its content is not as expected."""


class MissingFileError(ForeignFileError):
    """A file that another program should have written does not exist."""


class DownloadError(DtgError):
    """No host has a file with the right content; the caller turns this into its own error."""


class LimitError(RunError):
    """A limit of the host or account: no further process, thread or memory (exit code 2 or 1)."""


class ProcessLimitError(LimitError):
    """The system starts no further process or thread."""


class UnusableMapError(RunError):
    """A map lacks values where they are needed, or has values that no map can have."""


class OutputError(DtgError):
    """Results cannot be written (exit code 1)."""


_E = TypeVar("_E", bound=DtgError)


def together(errors: Iterable[_E]) -> _E:
    """Return the first of some errors, with the others as its notes, which a dry run can list.

    Examples
    --------
    >>> together([RunError("one"), RunError("two"), RunError("one")]).__notes__
    ['two.']
    """
    first, *further = errors
    for line in dict.fromkeys(map(str, further)):
        if line != str(first):
            first.add_note(line)
    return first


def without_person(message: str, participant: str) -> str:
    """Return a message without the participant at its beginning, who is named before it.

    Examples
    --------
    >>> without_person("sub-01: confounds.tsv is empty", "01")
    'confounds.tsv is empty'
    """
    return message.removeprefix(f"sub-{participant}: ")


def faults_of(err: Exception) -> list[str]:
    """Return an error in words, and those that `together` joined to it."""
    return [in_one_line(err), *getattr(err, "__notes__", ())]


# Processes and threads of one participant's work, the main process with its own included.
_TASKS = 12


def no_process() -> ProcessLimitError:
    """Return the error for a process or thread that the system does not start."""
    most = _limit("RLIMIT_NPROC")
    limit = f" (at most {most:,} of this user on it, ulimit -u)" if most else ""
    return ProcessLimitError(
        f"no further process or thread can be started on this host{limit}",
        expected=f"{_TASKS} for each participant at a time, beside those of other programs",
        remedy="ask for a higher limit, or process fewer participants at a time (--nprocs)",
    )


def limit_error(err: BaseException) -> LimitError | None:
    """Return the error to show if the system gave no process, thread or memory; else None.

    Examples
    --------
    >>> str(limit_error(RuntimeError("can't start new thread")))[:50]
    'no further process or thread can be started on thi'
    >>> limit_error(RuntimeError("a bug")) is None
    True
    """
    if isinstance(err, LimitError):
        return err
    # An error of a file names it.
    number, message = None, one_line(str(err))
    if isinstance(err, OSError) and err.filename is None:
        number, message = err.errno, ""
    no_thread = isinstance(err, RuntimeError) and "can't start new thread" in message
    if no_thread or number == errno.EAGAIN:
        return no_process()
    no_mapping = isinstance(err, ImportError) and "failed to map segment" in message
    if isinstance(err, MemoryError) or no_mapping or number == errno.ENOMEM:
        most = _limit("RLIMIT_AS")
        limit = f" (at most {most / 1e9:.1f} GB a process, ulimit -v)" if most else ""
        return LimitError(
            f"not enough memory{limit}" + (f": {message}" if message else ""),
            remedy="give the run more memory, or fewer participants at a time (--nprocs)",
        )
    return None


def _limit(name: str) -> int:
    """Return a limit of this process; 0 if there is none."""
    if sys.platform == "win32":
        return 0
    import resource

    soft, _ = resource.getrlimit(getattr(resource, name))
    return 0 if soft == resource.RLIM_INFINITY else soft


def in_one_line(err: Exception) -> str:
    """Return what users read of any error; one that is neither ours nor the machine's is a bug."""
    if isinstance(err, DtgError):
        return str(err)
    if limit := limit_error(err):
        return str(limit)
    if isinstance(err, OSError):
        return str(DtgError(f"{err.filename or 'a file'}: {err.strerror or err}"))
    message = one_line(str(err))
    return (
        f"internal error: {type(err).__name__}: {message}. This is a bug in "
        "the program: please report it with the output of the same command and -vv."
    )
