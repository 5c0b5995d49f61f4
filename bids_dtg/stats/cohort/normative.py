"""How far people's values lie from what is normal for their age, sex and site.

The norm of a value is its distribution given covariates: Bayesian linear regression on B-splines
of numbers, with an offset and a spread for each level of a category and a spread that changes
with the numbers (Huertas et al. 2017, NeuroImage 161: 134; Fraza et al. 2021, NeuroImage 245:
118715; Rutherford et al. 2022, Nat. Protoc. 17: 1711), as PCNtoolkit fits it. A person is scored
by norms of other people alone. Beside it stands a plain z-score: the mean and the spread of the
same other people, whatever their age.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Numbers = NDArray[np.integer[Any]]

EXTREME = 2.0  # |z| beyond which a value is called extreme: 4.55 % of normal ones
KNOTS, DEGREE = 5, 3  # of the splines
SMOOTH_FROM = 10  # different values of a number: with fewer it is a straight line
# With fewer people to learn from, in all or of a level, spreads by level and age are learned too
# badly, and z-scores come out too wide (docs/explanation/statistics.md has the figures): who is
# scored then has the one spread that all people share.
SPREADS_FROM, LEVEL_SPREAD_FROM = 120, 20
_DRAWS_AT_ONCE = 500  # people; their values are in memory together


class ToolkitMissingError(RuntimeError):
    """PCNtoolkit is not installed."""


@dataclass(frozen=True, eq=False)
class NormCovariates:
    """What norms are given for: smooth numbers, and levels with an offset and a spread each.

    Raises
    ------
    ValueError
        If shapes differ, there is no number, a number is not finite or all people share it.
    """

    numbers: Floats  # (people, numbers)
    number_names: tuple[str, ...]
    levels: NDArray[np.str_]  # (people, categories)
    level_names: tuple[str, ...]

    def __post_init__(self) -> None:
        shape = (
            (len(self.numbers), len(self.number_names)),
            (
                len(self.numbers),
                len(self.level_names),
            ),
        )
        if (self.numbers.shape, self.levels.shape) != shape:
            raise ValueError(
                f"numbers are {self.numbers.shape} and levels {self.levels.shape}, expected "
                f"{shape[0]} and {shape[1]}"
            )
        if not self.number_names:
            raise ValueError("a norm needs a number to be smooth over, such as age")
        for name, values in zip(self.number_names, self.numbers.T, strict=True):
            if not np.isfinite(values).all() or np.ptp(values) == 0:
                raise ValueError(f"'{name}' must be finite and differ between people")

    @property
    def people(self) -> int:
        """How many people there are."""
        return len(self.numbers)


@dataclass(frozen=True, eq=False)
class Scores:
    """Values beside their norms, (people, columns) each; NaN where a person has no norm."""

    expected: Floats  # in the values' unit
    sd: Floats  # spread of people like this one about it, with what the norm is uncertain by
    z: Floats  # (value - expected) / sd


@dataclass(frozen=True, eq=False)
class Standing:
    """How well people are placed among those they are scored by, (people,) each."""

    scored: NDArray[np.bool_]  # each of the person's levels is known of somebody
    own_spread: NDArray[np.bool_]  # of the levels and the age; else the one that all share
    beyond: NDArray[np.bool_]  # a number is below or above those of all others


@dataclass(frozen=True, eq=False)
class NormalFit:
    """How near z-scores are to N(0, 1), (columns,) each; NaN where nobody has a score."""

    sd: Floats
    extreme: Floats  # share beyond `EXTREME`
    ks_p: Floats  # of the Kolmogorov-Smirnov test against N(0, 1)


@dataclass(frozen=True, eq=False)
class Extremes:
    """How many extreme values each person has, (people,) each."""

    columns: NDArray[np.intp]  # with a score
    count: NDArray[np.intp]  # of them, extreme
    expected: Floats  # of N(0, 1)
    usual: Floats  # 95 of 100 normal people with the same correlations have no more
    p: Floats  # share of such people with as many or more, (b + 1) / (m + 1); NaN: no score
    drawn: NDArray[np.intp]  # (draws,), how many each person drawn has of all columns


def load_toolkit() -> ModuleType:
    """Import PCNtoolkit.

    Raises
    ------
    ToolkitMissingError
        If it is not installed, with what is missing.
    """
    import warnings

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of its own dependencies, about their future
            import pcntoolkit
            from pcntoolkit.util.output import Output
    except ModuleNotFoundError as err:
        raise ToolkitMissingError(f"the Python package {err.name} is missing") from err
    Output.set_show_messages(False)
    module: ModuleType = pcntoolkit
    return module


def score_people(
    values: NDArray[np.floating[Any]],
    covariates: NormCovariates,
    folds: Numbers,
    *,
    progress: Callable[[int], None] | None = None,
) -> Scores:
    """Score everybody by norms of the people of other folds.

    Parameters
    ----------
    values
        (people, columns), NaN where a person has none.
    covariates
        What the norms are given for.
    folds
        (people,), which people are left out together: whole families.
    progress
        Called with the number of columns that are done, after each.

    Returns
    -------
    Scores
        NaN for people with a level that nobody has in the other folds, for columns without
        spread, and where the fit fails.

    Raises
    ------
    ToolkitMissingError
        PCNtoolkit is not installed.
    ValueError
        If numbers of people differ or there is one fold only.

    Examples
    --------
    >>> score_people(values, covariates, folds).z.std()  # doctest: +SKIP
    1.02
    """
    toolkit = load_toolkit()
    designs = [_Design(covariates, folds == fold) for fold in _checked(values, folds, covariates)]
    found = Scores(*(np.full(values.shape, np.nan) for _ in range(3)))
    for column, own in enumerate(np.asarray(values, np.float64).T):
        for design in designs:
            _score_fold(toolkit, own, design, found, column)
        if progress is not None:
            progress(column + 1)
    return found


def _checked(
    values: NDArray[np.floating[Any]], folds: Numbers, covariates: NormCovariates | None = None
) -> Numbers:
    """Return the numbers of the folds."""
    people = len(values) if covariates is None else covariates.people
    if values.ndim != 2 or not len(values) == len(folds) == people:
        raise ValueError(
            f"values are {values.shape} and folds {folds.shape}, expected ({people}, columns) "
            f"and ({people},)"
        )
    numbers: Numbers = np.unique(folds)
    if len(numbers) < 2:
        raise ValueError("people are in one fold: nobody is left to learn norms from")
    return numbers


class _Design:
    """Covariates of who is learned from and who is scored in a fold."""

    def __init__(self, covariates: NormCovariates, left_out: NDArray[np.bool_]) -> None:
        self.covariates, self.left_out = covariates, left_out
        learned = covariates.numbers[~left_out]
        spread = learned.std(axis=0)
        self.x = (covariates.numbers - learned.mean(axis=0)) / np.where(spread > 0, spread, 1.0)

    def who(
        self, known: NDArray[np.bool_]
    ) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
        """Return masks: people to learn from, and scored people with and without an own spread."""
        learned, scored = known & ~self.left_out, known & self.left_out
        own = scored & (learned.sum() >= SPREADS_FROM)
        for levels in self.covariates.levels.T:
            found, count = np.unique(levels[learned], return_counts=True)
            scored &= np.isin(levels, found)
            own &= np.isin(levels, found[count >= LEVEL_SPREAD_FROM])
        return np.flatnonzero(learned), np.flatnonzero(scored & own), np.flatnonzero(scored & ~own)

    def coded(self, learned: NDArray[np.intp]) -> tuple[Numbers, dict[str, dict[str, int]]]:
        """Return levels as numbers, (people, categories), and which number each level has."""
        codes, maps = np.zeros((len(self.x), max(1, self.covariates.levels.shape[1])), int), {}
        for place, name in enumerate(self.covariates.level_names):
            own = self.covariates.levels[:, place]
            found = np.unique(own[learned])
            codes[:, place] = np.searchsorted(found, own).clip(max=len(found) - 1)
            maps[name] = {str(level): number for number, level in enumerate(found)}
        return codes, maps or {"everybody": {"0": 0}}


def _score_fold(
    toolkit: ModuleType, values: Floats, design: _Design, into: Scores, column: int
) -> None:
    """Write scores of who is left out of one fold, of one column."""
    learned, *both = design.who(np.isfinite(values))
    mean, spread = (values[learned].mean(), values[learned].std()) if learned.size else (0.0, 0.0)
    if spread <= 1e-9 * abs(mean):
        return
    y = (values - mean) / spread
    for scored, spreads in zip(both, (True, False), strict=True):
        if scored.size:
            model = _model(toolkit, design.x, learned, spreads=spreads)
            expected, sd = _norm(model, y[learned], design, learned, scored)
            into.expected[scored, column] = mean + spread * expected
            into.sd[scored, column] = spread * sd
            into.z[scored, column] = (y[scored] - expected) / sd


def _norm(
    model: Any,
    y: Floats,
    design: _Design,
    learned: NDArray[np.intp],
    scored: NDArray[np.intp],
) -> tuple[Floats, Floats]:
    """Return the expected values of scored people and their SD; NaN where the fit fails."""
    from xarray import DataArray

    codes, maps = design.coded(learned)

    def inputs(who: NDArray[np.intp]) -> tuple[Any, Any]:
        return (
            DataArray(design.x[who], dims=("observations", "covariates")),
            DataArray(codes[who], dims=("observations", "batch_effect_dims")),
        )

    nothing = DataArray(np.zeros(len(scored)), dims=("observations",))
    try:
        with np.errstate(all="ignore"):  # trial steps of its optimiser overflow
            model.fit(*inputs(learned), maps, DataArray(y, dims=("observations",)))
            expected = model.backward(*inputs(scored), nothing).values
            sd = model.backward(*inputs(scored), nothing + 1.0).values - expected
    except np.linalg.LinAlgError:
        return np.full(len(scored), np.nan), np.full(len(scored), np.nan)
    return expected, np.where(np.isfinite(sd) & (sd > 0), sd, np.nan)


def _model(toolkit: ModuleType, x: Floats, learned: NDArray[np.intp], *, spreads: bool) -> Any:
    """Return the toolkit's regression, not fitted; with spreads by level and number, or one."""
    parts = [
        toolkit.BsplineBasisFunction(basis_column=place, nknots=KNOTS, degree=DEGREE)
        if len(np.unique(x[learned, place])) >= SMOOTH_FROM
        else toolkit.LinearBasisFunction(basis_column=place)
        for place in range(x.shape[1])
    ]
    return toolkit.BLR(
        basis_function_mean=parts[0] if len(parts) == 1 else toolkit.CompositeBasisFunction(parts),
        fixed_effect=True,
        heteroskedastic=spreads,
        fixed_effect_var=spreads,
        basis_function_var=toolkit.LinearBasisFunction(),
    )


def score_plainly(values: NDArray[np.floating[Any]], folds: Numbers) -> Scores:
    """Score everybody by the mean and the standard deviation of the people of other folds.

    Parameters
    ----------
    values
        (people, columns), NaN where a person has none.
    folds
        (people,), which people are left out together.

    Raises
    ------
    ValueError
        If numbers of people differ or there is one fold only.

    Examples
    --------
    >>> import numpy as np
    >>> score_plainly(np.array([[1.0], [3.0], [6.0]]), np.array([0, 0, 1])).expected.ravel()
    array([6., 6., 2.])
    """
    values = np.asarray(values, np.float64)
    found = Scores(*(np.full(values.shape, np.nan) for _ in range(3)))
    for fold in _checked(values, folds):
        out = folds == fold
        learned = np.ma.masked_invalid(values[~out])
        found.expected[out] = learned.mean(axis=0).filled(np.nan)
        found.sd[out] = learned.std(axis=0, ddof=1).filled(np.nan)
    found.expected[~np.isfinite(values)] = found.sd[~np.isfinite(values)] = np.nan
    found.sd[~(found.sd > 1e-9 * np.abs(found.expected))] = np.nan
    found.z[:] = (values - found.expected) / found.sd
    return found


def stand(covariates: NormCovariates, folds: Numbers) -> Standing:
    """Return the people who can be scored, how, and extrapolated norms, without any value.

    Parameters
    ----------
    covariates
        Covariates of all people, (people, columns).
    folds
        (people,), which people are left out together.

    Examples
    --------
    >>> import numpy as np
    >>> people = NormCovariates(np.array([[9.0], [30], [25], [40]]), ("age",),
    ...                         np.array([["a"], ["a"], ["a"], ["b"]]), ("site",))
    >>> found = stand(people, np.array([0, 0, 1, 1]))
    >>> found.scored.tolist(), found.beyond.tolist()
    ([True, True, True, False], [True, False, False, True])
    """
    scored, own, beyond = (np.zeros(covariates.people, bool) for _ in range(3))
    for fold in np.unique(folds):
        out = folds == fold
        _, with_own, without = _Design(covariates, out).who(np.ones(len(out), bool))
        scored[with_own] = scored[without] = own[with_own] = True
        learned, theirs = covariates.numbers[~out], covariates.numbers[out]
        beyond[out] = ((theirs < learned.min(axis=0)) | (theirs > learned.max(axis=0))).any(axis=1)
    return Standing(scored, own, beyond)


def explained(values: NDArray[np.floating[Any]], norms: Scores, plain: Scores) -> Floats:
    """Return the share of held-out people's variance that norms explain, (columns,).

    Parameters
    ----------
    values
        (people, columns), values in any unit.
    norms, plain
        What is expected given covariates, and without them, of the same folds.

    Returns
    -------
    ndarray
        R²: 1 - squared distance from the norm / squared distance from the mean of the same other
        people. 0 and below: age, sex and site say nothing, and a deviation is a plain z-score.

    Examples
    --------
    >>> import numpy as np
    >>> values, one = np.array([[0.0], [2.0]]), np.ones((2, 1))
    >>> explained(values, Scores(values, one, one), Scores(one, one, one))
    array([1.])
    """
    known = np.isfinite(values) & np.isfinite(norms.expected) & np.isfinite(plain.expected)
    left = np.where(known, values - norms.expected, 0.0)
    whole = np.where(known, values - plain.expected, 0.0)
    squares = (whole**2).sum(axis=0)
    ratio = np.divide(
        (left**2).sum(axis=0), squares, out=np.full(len(squares), np.nan), where=squares > 0
    )
    return np.asarray(1.0 - ratio)


def compare_with_normal(z: Floats) -> NormalFit:
    """Return how near the z-scores of each column are to N(0, 1).

    Parameters
    ----------
    z
        (people, columns), NaN where there is none.

    Examples
    --------
    >>> import numpy as np
    >>> fit = compare_with_normal(np.random.default_rng(0).standard_normal((200, 1)))
    >>> fit.sd.round(1), bool(fit.ks_p[0] > 0.05)
    (array([1.]), True)
    """
    from scipy.stats import kstest

    found = np.full((3, z.shape[1]), np.nan)
    for column, own in enumerate(z.T):
        own = own[np.isfinite(own)]
        if len(own) > 1:
            beyond = (np.abs(own) > EXTREME).mean()
            found[:, column] = own.std(ddof=1), beyond, kstest(own, "norm").pvalue
    return NormalFit(*found)


def normal_quantiles(z: Floats, points: int = 99) -> Floats:
    """Return quantiles of N(0, 1) and of all z-scores together, (points, 2).

    Parameters
    ----------
    z
        Any shape, NaN where there is none.
    points
        At the shares 1 / (points + 1) to points / (points + 1).

    Examples
    --------
    >>> import numpy as np
    >>> normal_quantiles(np.array([-1.0, 0, 1]), 3).round(2)
    array([[-0.67, -0.5 ],
           [ 0.  ,  0.  ],
           [ 0.67,  0.5 ]])
    """
    from scipy.special import ndtri

    share = np.arange(1, points + 1) / (points + 1)
    known = z[np.isfinite(z)]
    found = np.quantile(known, share) if known.size else np.full(points, np.nan)
    return np.stack([ndtri(share), found], axis=1)


def count_extremes(z: Floats, *, draws: int, seed: int) -> Extremes:
    """Count each person's extreme values, and how many chance alone gives.

    Regions go together, so that a person with one extreme value has others too: a binomial test
    would call far too many people unusual. Chance is people drawn from a normal distribution with
    mean 0, variance 1 and the correlations that these people's z-scores have between columns
    (weighted sums of their rows with normal weights have just these), whose extreme values count
    as just extreme.

    Parameters
    ----------
    z
        (people, columns), NaN where there is none.
    draws
        How many people are drawn; with 0 there is no p.
    seed
        Seed of the random draws.

    Examples
    --------
    >>> import numpy as np
    >>> z = np.random.default_rng(0).standard_normal((50, 40))
    >>> z[7] *= 4
    >>> found = count_extremes(z, draws=999, seed=0)
    >>> int(found.p.argmin()), bool(found.p[7] < 0.01), found.expected[7].round(2)
    (7, True, np.float64(1.82))
    """
    known = np.isfinite(z)
    filled = np.where(known, z, 0.0)
    # One person who is far out in all columns would make them all seem to go together.
    within = filled.clip(-EXTREME, EXTREME)
    norms = np.sqrt((within**2).sum(axis=0))
    rows = np.divide(within, norms, out=np.zeros_like(within), where=norms > 0)
    patterns, own = np.unique(known, axis=0, return_inverse=True)
    drawn = _drawn_extremes(rows, np.vstack([patterns, np.ones_like(known[:1])]), draws, seed)
    columns, count = known.sum(axis=1), (np.abs(filled) > EXTREME).sum(axis=1)
    usual, p = np.full(len(z), np.nan), np.full(len(z), np.nan)
    for number, of_pattern in enumerate(drawn[:-1]):
        who = own.reshape(-1) == number
        usual[who], p[who] = _beside_chance(count[who], columns[who], of_pattern)
    return Extremes(columns, count, _expected(columns), usual, p, drawn[-1])


def _drawn_extremes(
    rows: Floats, patterns: NDArray[np.bool_], draws: int, seed: int
) -> NDArray[np.intp]:
    """Return the number of extreme columns of simulated people, (patterns, draws).

    The same numbers of people, draws and seed give the same weights of people.
    """
    rng = np.random.default_rng(seed)
    found = np.zeros((len(patterns), draws), np.intp)
    for first in range(0, draws, _DRAWS_AT_ONCE):
        # As many weights each time, so that the same ones are drawn whatever the columns.
        weights = rng.standard_normal((min(_DRAWS_AT_ONCE, draws - first), len(rows)))
        beyond = np.abs(weights @ rows) > EXTREME
        for number, pattern in enumerate(patterns):
            found[number, first : first + len(weights)] = beyond[:, pattern].sum(axis=1)
    return found


def _beside_chance(
    count: NDArray[np.intp], columns: NDArray[np.intp], drawn: NDArray[np.intp]
) -> tuple[Floats, Floats]:
    """Return the 95th percentile by chance and p of counts; NaN without columns or draws."""
    if not drawn.size:
        return np.full(len(count), np.nan), np.full(len(count), np.nan)
    ordered = np.sort(drawn)
    usual = float(np.quantile(ordered, 0.95, method="higher"))
    more = drawn.size - np.searchsorted(ordered, count, side="left")
    p = (more + 1) / (drawn.size + 1)
    return np.where(columns > 0, usual, np.nan), np.where(columns > 0, p, np.nan)


def _expected(columns: NDArray[np.intp]) -> Floats:
    from scipy.special import ndtr

    return np.asarray(columns * 2.0 * ndtr(-EXTREME))


def add_extremes(parts: Sequence[Extremes]) -> Extremes:
    """Put counts of several tables of the same people together.

    Parameters
    ----------
    parts
        Of `count_extremes`, with the same draws and seed: the people drawn are then the same in
        all tables, and correlations between tables are kept too. Who lacks columns of some
        tables is compared with people who have all, and so has too large a p.

    Raises
    ------
    ValueError
        If numbers of people or draws differ.

    Examples
    --------
    >>> import numpy as np
    >>> z = np.random.default_rng(0).standard_normal((50, 40))
    >>> half = [count_extremes(part, draws=99, seed=0) for part in (z[:, :9], z[:, 9:])]
    >>> whole = count_extremes(z, draws=99, seed=0)
    >>> bool((add_extremes(half).p == whole.p).all())
    True
    """
    if len({(len(part.count), len(part.drawn)) for part in parts}) != 1:
        raise ValueError("extremes are of different numbers of people or draws")
    columns = np.sum([part.columns for part in parts], axis=0)
    count = np.sum([part.count for part in parts], axis=0)
    drawn = np.sum([part.drawn for part in parts], axis=0)
    usual, p = _beside_chance(count, columns, drawn)
    return Extremes(columns, count, _expected(columns), usual, p, drawn)
