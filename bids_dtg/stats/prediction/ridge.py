"""Ridge regression of many targets, by people or by columns, less confounds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.floating[Any]]
Array = NDArray[np.float64]
Index = NDArray[np.integer[Any]]

_SMALLEST_SHARE = 1e-12  # of the largest eigenvalue: what is below is rounding
_RANK_OF_CONFOUNDS = 1e-10  # of the largest singular value
_ROWS = 256  # of a matrix that are copied at once
_JITTER = 1e-12  # what left-out people alone determine counts as known, not as NaN


@dataclass(frozen=True)
class _Part:
    """A set of features in the smaller of two forms."""

    columns: int
    values: Array | None  # (people, columns), where columns < people
    kernel: Array | None  # (people, people) inner products, else

    def products(self, some: Index, others: Index) -> Array:
        """Return inner products (some, others)."""
        if self.values is not None:
            made: Array = self.values[some] @ self.values[others].T
            return made
        assert self.kernel is not None
        held: Array = self.kernel[np.ix_(some, others)]
        return held


@dataclass(frozen=True)
class Features:
    """People's features in the form that ridge regression solves fastest.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.random.default_rng(0).standard_normal((20, 300)).astype(np.float32)
    >>> Features.of(x).form, Features.of(x[:, :5]).form, Features.of(x).people
    ('dual', 'primal', 20)
    """

    parts: tuple[_Part, ...]

    @classmethod
    def of(cls, values: Values, *, block_bytes: int = 1 << 26) -> Features:
        """Read features once, in blocks of columns.

        Parameters
        ----------
        values
            (people, columns); may be memory-mapped float32.
        block_bytes
            Memory of a block of columns, in bytes.

        Returns
        -------
        Features
            With fewer columns than people the columns themselves (float64): the primal form.
            Else the people's inner products: the dual form; memory is 8 x people² bytes and a
            block. Products are summed in float64. Columns' means over all these people are
            taken away first, against rounding; no result depends on them, for each fold takes
            away the means of its own training people.

        Raises
        ------
        ValueError
            If values are not (people, columns) or a value is not finite.
        """
        if values.ndim != 2 or not values.size:
            raise ValueError(f"features are (people, columns), found {values.shape}")
        people, columns = values.shape
        blocks = (block for _, block in centred_blocks(values, block_bytes))
        if columns < people:
            return cls((_Part(columns, np.hstack(list(blocks)), None),))
        return cls((_Part(columns, None, _inner_products(blocks, people)),))

    @property
    def people(self) -> int:
        """How many people."""
        part = self.parts[0]
        held = part.kernel if part.values is None else part.values
        assert held is not None
        return len(held)

    @property
    def columns(self) -> int:
        """How many features."""
        return sum(part.columns for part in self.parts)

    @property
    def form(self) -> Literal["primal", "dual"]:
        """Whether to solve by columns (primal) or by people (dual)."""
        by_columns = all(part.values is not None for part in self.parts)
        return "primal" if by_columns and self.columns < self.people else "dual"

    def of_people(self, people: Index) -> Features:
        """Return the features of some people, by their places."""
        return Features(
            tuple(
                _Part(
                    part.columns,
                    None if part.values is None else part.values[people],
                    None if part.kernel is None else part.kernel[np.ix_(people, people)],
                )
                for part in self.parts
            )
        )


def _inner_products(blocks: Iterable[Array], people: int) -> Array:
    """Return the sum of block @ block.T, added up in place: (people, people)."""
    from scipy.linalg.blas import dsyrk

    # In Fortran's order BLAS adds to what is there; of a symmetric matrix it works out one half.
    upper: Array = np.zeros((people, people), order="F")
    for block in blocks:
        upper = dsyrk(1.0, block.T, beta=1.0, c=upper, trans=1, overwrite_c=1)
    for start in range(0, people, _ROWS):
        rows = slice(start, start + _ROWS)
        upper[rows, :start] = upper[:start, rows].T
        corner = np.triu(upper[rows, rows])
        upper[rows, rows] = corner + np.triu(corner, 1).T
    return upper


def join_features(sets: Sequence[Features]) -> Features:
    """Put sets of features of the same people side by side.

    Parameters
    ----------
    sets
        Of one number of people.

    Returns
    -------
    Features
        In each fold every set is divided by one number, so that its columns have the same total
        variance in training people as those of any other: neither units nor numbers of columns
        decide which set counts.

    Raises
    ------
    ValueError
        If they are of different numbers of people.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.random.default_rng(0).standard_normal((20, 30))
    >>> join_features([Features.of(x), Features.of(x[:, :4])]).columns
    34
    """
    if len({features.people for features in sets}) != 1:
        raise ValueError(f"sets have {[features.people for features in sets]} people")
    return Features(tuple(part for features in sets for part in features.parts))


def centred_blocks(values: Values, block_bytes: int = 1 << 26) -> Iterator[tuple[slice, Array]]:
    """Yield blocks of columns, less their means, as float64.

    Parameters
    ----------
    values
        (people, columns); may be memory-mapped.
    block_bytes
        Memory of a block of columns, in bytes.

    Yields
    ------
    tuple
        Which columns, and (people, columns) of them.

    Raises
    ------
    ValueError
        If a value is not finite.

    Examples
    --------
    >>> import numpy as np
    >>> [block.tolist() for _, block in centred_blocks(np.array([[1.0, 5.0], [3.0, 5.0]]))]
    [[[-1.0, 0.0], [1.0, 0.0]]]
    """
    people, columns = values.shape
    step = max(1, block_bytes // (8 * people))
    for start in range(0, columns, step):
        here = slice(start, min(start + step, columns))
        block = np.array(values[:, here], np.float64)
        block -= block.mean(axis=0)
        wrong = ~np.isfinite(block).all(axis=0)
        if wrong.any():
            first = start + int(np.flatnonzero(wrong)[0])
            raise ValueError(f"column {first} of the features has a value that is not finite")
        yield here, block


@dataclass(frozen=True)
class Nuisance:
    """An intercept and confounds, fitted on training people alone."""

    basis: Array  # (train, rank) orthonormal: what the design of training people spans
    solve: Array  # (columns, train): from training people's values to coefficients
    test: Array  # (test, columns), the design of test people

    @classmethod
    def of(cls, confounds: Values | None, train: Index, test: Index) -> Nuisance:
        """Fit the design of training people.

        Parameters
        ----------
        confounds
            (people, confounds), numbers; None: the intercept alone. A column that training
            people do not vary in has no coefficient.
        train, test
            Row numbers of training and test people.
        """
        own, new = np.ones((len(train), 1)), np.ones((len(test), 1))
        if confounds is not None:
            given = np.asarray(confounds, np.float64)
            mean, spread = given[train].mean(axis=0), given[train].std(axis=0)
            varies = spread > _SMALLEST_SHARE * np.maximum(np.abs(mean), np.finfo(float).tiny)
            scaled = (given[:, varies] - mean[varies]) / spread[varies]
            own, new = np.hstack([own, scaled[train]]), np.hstack([new, scaled[test]])
        left, strengths, _ = np.linalg.svd(own, full_matrices=False)
        kept = strengths > _RANK_OF_CONFOUNDS * strengths[0]
        solve = np.asarray(np.linalg.pinv(own, rcond=_RANK_OF_CONFOUNDS), np.float64)
        return cls(left[:, kept], solve, new)

    def remove(self, values: Array) -> Array:
        """Return the training people's residuals on the design, (train, ...)."""
        left: Array = values - self.basis @ (self.basis.T @ values)
        return left

    def expect(self, values: Array) -> Array:
        """Predict test people by the design from training people's values (train, ...)."""
        expected: Array = self.test @ (self.solve @ values)
        return expected


@dataclass(frozen=True)
class RidgeFit:
    """Training people's features less confounds, decomposed once for all penalties and targets.

    With X the training people's features less what their confounds explain (by coefficients of
    training people), X Xᵀ = Q diag(strengths) Qᵀ, and test people, treated by the same
    coefficients, have `scores` such that the ridge prediction of a target y is
    scores diag(1 / (strengths + alpha)) Qᵀ y: alpha means what it means in scikit-learn.
    """

    nuisance: Nuisance
    directions: Array  # Q, (train, rank)
    strengths: Array  # (rank,), above 0
    scores: Array  # (test, rank)
    columns: int

    @property
    def people(self) -> int:
        """How many people it is fitted on."""
        return len(self.directions)

    @property
    def published_alpha(self) -> float:
        """Features / training people, for features whose mean variance in these people is 1."""
        return max(float(self.strengths.sum()) / self.people**2, np.finfo(float).tiny)

    @property
    def mean_strength(self) -> float:
        """The mean eigenvalue: a unit for alpha that does not depend on units of features."""
        return float(self.strengths.mean()) if len(self.strengths) else 1.0

    def effective_dof(self, alpha: float) -> float:
        """Return the trace of the smoother, without the intercept and confounds."""
        return float((self.strengths / (self.strengths + alpha)).sum())

    def alpha_of(self, effective_dof: float) -> float:
        """Return the alpha with these degrees of freedom, above 0 and below the rank.

        Raises
        ------
        ValueError
            If no alpha has so many.
        """
        from scipy.optimize import brentq

        if not 0 < effective_dof < len(self.strengths):
            raise ValueError(
                f"no alpha has {effective_dof:g} degrees of freedom: "
                f"the features have {len(self.strengths)}"
            )

        def excess(exponent: float) -> float:
            return self.effective_dof(float(np.exp(exponent))) - effective_dof

        low = np.log(self.strengths.min()) - 40
        return float(np.exp(brentq(excess, low, np.log(self.strengths.sum()) + 40, xtol=1e-12)))

    def deviations(self, targets: Array, alphas: Values | float) -> Array:
        """Predict how test people deviate from what confounds and training means say.

        Parameters
        ----------
        targets
            (train, targets), centred values of the training people.
        alphas
            One for all targets, or (targets,).

        Returns
        -------
        (test, targets)
        """
        shrunk = (self.directions.T @ targets) / (self.strengths[:, None] + np.atleast_1d(alphas))
        predicted: Array = self.scores @ shrunk
        return predicted

    def fitted(self, targets: Array, alpha: float) -> Array:
        """Return the fitted deviations of the training people themselves, (train, targets)."""
        kept = self.strengths / (self.strengths + alpha)
        found: Array = self.directions @ (kept[:, None] * (self.directions.T @ targets))
        return found

    def left_out_errors(self, targets: Array, alphas: Values, groups: Index) -> Array:
        """Return squared errors for groups that are left out, in closed form.

        Parameters
        ----------
        targets
            (train, targets), centred values of the training people.
        alphas
            (alphas,) ridge penalties, above 0.
        groups
            (train,): people of one number are left out together; confounds and means are
            fitted without them.

        Returns
        -------
        (alphas, targets), summed over training people.

        Notes
        -----
        With S the smoother of everybody, what a fit without the group g leaves of its people is
        (I - S_gg)⁻¹ (y - S y)_g (Allen 1974, doi:10.1080/00401706.1974.10489157, for groups).
        """
        basis = np.hstack([self.nuisance.basis, self.directions])
        free = np.ones(self.nuisance.basis.shape[1])
        kept = np.stack(
            [np.concatenate([free, self.strengths / (self.strengths + own)]) for own in alphas]
        )
        seen, errors = basis.T @ targets, np.zeros((len(alphas), targets.shape[1]))
        for group in np.unique(groups):
            own, y = basis[groups == group], targets[groups == group]
            add = _errors_by_people if len(own) <= basis.shape[1] else _errors_by_columns
            errors += add(own, y, kept, seen)
        return errors


def _errors_by_people(basis: Array, targets: Array, kept: Array, seen: Array) -> Array:
    """Return a group's errors (alphas, targets), solved for its people."""
    errors = []
    for own in kept:
        left = targets - basis @ (own[:, None] * seen)
        without = (1 + _JITTER) * np.eye(len(basis)) - (basis * own) @ basis.T
        errors.append(np.square(np.linalg.solve(without, left)).sum(axis=0))
    return np.stack(errors)


def _errors_by_columns(basis: Array, targets: Array, kept: Array, seen: Array) -> Array:
    """Return the same, solved for the columns of the basis: people enter by sums alone."""
    products, crossed = basis.T @ basis, basis.T @ targets
    size, errors = np.square(targets).sum(axis=0), []
    for own in kept:
        fitted = own[:, None] * seen
        without = np.diag((1 + _JITTER) / own) - products
        fitted = fitted - np.linalg.solve(without, crossed - products @ fitted)
        errors.append(size + (fitted * (products @ fitted - 2 * crossed)).sum(axis=0))
    return np.asarray(np.maximum(np.stack(errors), 0.0), np.float64)


def fit_ridge(
    features: Features, train: Index, test: Index, confounds: Values | None = None
) -> RidgeFit:
    """Decompose training people's features, less confounds, once for all penalties and targets.

    Parameters
    ----------
    features
        Features of all people, (people, features).
    train, test
        Places of people. Nothing of test people enters but their own scores.
    confounds
        (people, confounds), regressed out of features by coefficients of training people: on
        the kernel in the dual form (R K R, and (K_test - Z_test Z⁺ K) R), so that features are
        not read again. None: the intercept alone.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.random.default_rng(0).standard_normal((30, 4))
    >>> fit = fit_ridge(Features.of(x), np.arange(20), np.arange(20, 30))
    >>> y = x @ np.ones((4, 1)) + 5
    >>> expected = fit.nuisance.expect(y[:20])
    >>> bool(np.allclose(expected + fit.deviations(y[:20], 1e-9), y[20:]))
    True
    """
    nuisance = Nuisance.of(confounds, train, test)
    decompose = _by_columns if features.form == "primal" else _by_people
    directions, strengths, scores = decompose(features, nuisance, train, test)
    return RidgeFit(nuisance, directions, strengths, scores, features.columns)


def _by_people(
    features: Features, nuisance: Nuisance, train: Index, test: Index
) -> tuple[Array, Array, Array]:
    """Decompose the kernel of the training people."""
    kernel, new = np.zeros((len(train), len(train))), np.zeros((len(test), len(train)))
    for part in features.parts:
        own, across = part.products(train, train), part.products(test, train)
        before = float(np.trace(own))
        across = nuisance.remove((across - nuisance.expect(own)).T).T
        own = nuisance.remove(nuisance.remove(own).T)
        scale = _scale(before, float(np.trace(own)), len(features.parts))
        own *= scale
        kernel += own
        new += across * scale
        del own, across  # of many people each takes as much memory as the kernel
    strengths, directions = np.linalg.eigh(kernel)  # of its lower half
    del kernel
    directions, strengths = _above_rounding(directions, strengths)
    return directions, strengths, new @ directions


def _by_columns(
    features: Features, nuisance: Nuisance, train: Index, test: Index
) -> tuple[Array, Array, Array]:
    """Decompose the columns' inner products over the training people."""
    own_parts, new_parts = [], []
    for part in features.parts:
        assert part.values is not None
        own, new = part.values[train], part.values[test]
        before = float(np.square(own).sum())
        new, own = new - nuisance.expect(own), nuisance.remove(own)
        scale = np.sqrt(_scale(before, float(np.square(own).sum()), len(features.parts)))
        own_parts.append(own * scale)
        new_parts.append(new * scale)
    own, new = np.hstack(own_parts), np.hstack(new_parts)
    strengths, loadings = np.linalg.eigh(own.T @ own)
    loadings, strengths = _above_rounding(loadings, strengths)
    roots = np.sqrt(strengths)
    return own @ loadings / roots, strengths, new @ loadings * roots


def _scale(before: float, left: float, parts: int) -> float:
    """Return the weight of a set's products: each of several sets gets equal variance.

    Where confounds explain all of a set, what is left is rounding and counts as nothing.
    """
    if left <= _SMALLEST_SHARE * before:
        return 0.0
    return 1.0 if parts == 1 else 1.0 / left


def _above_rounding(vectors: Array, values: Array) -> tuple[Array, Array]:
    kept = values > _SMALLEST_SHARE * max(float(values[-1]), np.finfo(float).tiny)
    return vectors[:, kept], values[kept]
