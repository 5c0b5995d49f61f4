"""Fixed points of a region and of a network, and their stability.

A trained transition is the map x + f(x), whose step is one frame. Sip et al. (2023) treat f as the
right-hand side of a differential equation. Both have the same fixed points, but these can differ in
stability.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from bids_dtg.array_types import Floats, Indices, Mask
from bids_dtg.dynamics.model import NetworkModel

TOLERANCE = 1e-6  # largest element of f at an accepted fixed point
APART = 1e-4  # roots closer than this are considered equal
START = 2.0  # starts are between -2 and 2
_EXACT = 1e-9  # largest element of f at which a search stops
_ITERATIONS, _HALVINGS = 60, 8
_GROWTH = 1.5  # of an implicit step, from one to the next
_LEAST_GAIN = 1e-4  # smallest share of |f| that a full step must remove
_ROWS = 20_000  # cases times starts that are processed together
_SETTLING = 400  # frames that a state is followed for
_LONGER = 1200  # the same, if it has not settled then
# Settled: this last share of the frames stays this close to the end.
_LAST, _NEAR = 0.1, 1e-3


class Field:
    """The change f of network states in one frame, without noise, in float64, for several cases.

    A network state concatenates the states of its regions. A single region is a network of one
    region without connections, whose network input is constant.

    Parameters
    ----------
    model
        Fitted model with the transition.
    region
        Region parameters, (cases, regions, region parameters).
    person
        Person parameters, (cases, person parameters).
    weights
        (regions, regions), the structural connectome; None: regions are not connected.
    network, external
        (cases,), constants: an addition to the network input, and the external input.
    """

    def __init__(
        self,
        model: NetworkModel,
        region: Floats,
        person: Floats,
        *,
        weights: Floats | None = None,
        network: Floats | float = 0.0,
        external: Floats | float = 0.0,
    ) -> None:
        # NumPy, because a search is thousands of small steps, for which torch is 7 times slower.
        self.cases, self.regions = region.shape[:2]
        transition = model.transition
        (
            self._state_weight,
            region_weight,
            person_weight,
            network_weight,
            external_weight,
        ) = map(_array, transition.columns)
        self._network_weight = network_weight[:, 0]
        self._out_weight = _array(transition.out.weight)
        self._out_bias = _array(transition.out.bias)
        self._observation = _array(model.observation.weight)[0]
        self._weights = (
            np.zeros((self.regions,) * 2) if weights is None else np.float64(weights)
        )
        bias = model.observation.bias.item() * self._weights.sum(axis=1)
        network_input = np.broadcast_to(network, self.cases)[:, None] + bias
        constant = region @ region_weight.T + (person @ person_weight.T)[:, None]
        constant = constant + _array(transition.hidden.bias)
        constant = constant + np.multiply.outer(network_input, self._network_weight)
        if external_weight.size:
            shared = np.broadcast_to(external, self.cases)
            constant = (
                constant + np.multiply.outer(shared, external_weight[:, 0])[:, None]
            )
        self._constant = constant  # (cases, regions, hidden)

    @property
    def dimension(self) -> int:
        """Dimension of a state."""
        return int(self.regions * len(self._observation))

    def change(self, states: Floats, case: Indices) -> Floats:
        """Return f at states, (rows, dimension); `case` has the case of each row."""
        active = np.maximum(self._activity(states, case), 0.0)
        change: Floats = active @ self._out_weight.T + self._out_bias
        return change.reshape(states.shape)

    def jacobian(self, states: Floats, case: Indices) -> Floats:
        """Return the derivatives of f, (rows, dimension, dimension)."""
        gain = self._out_weight * (self._activity(states, case) > 0)[:, :, None]
        by_network = gain @ self._network_weight  # (rows, regions, states)
        coupling = np.multiply.outer(self._weights, self._observation)
        jacobian = np.einsum("rna,nmb->rnamb", by_network, coupling)
        regions = np.arange(self.regions)
        jacobian[:, regions, :, regions] += (gain @ self._state_weight).swapaxes(0, 1)
        return jacobian.reshape(len(states), self.dimension, self.dimension)

    def _activity(self, states: Floats, case: Indices) -> Floats:
        """Return the activity of the hidden layer, (rows, regions, hidden)."""
        by_region = states.reshape(len(states), self.regions, len(self._observation))
        arriving = (by_region @ self._observation) @ self._weights.T
        activity: Floats = by_region @ self._state_weight.T + self._constant[case]
        activity += np.multiply.outer(arriving, self._network_weight)
        return activity


def _array(tensor: Tensor) -> Floats:
    return tensor.detach().cpu().double().numpy()


@dataclass(frozen=True, eq=False)
class FixedPoints:
    """The fixed points of several cases, one row each."""

    cases: int  # number of cases
    case: Indices  # (points,), number of the case
    states: Floats  # (points, dimension)
    # (points, dimension), of the derivatives of f.
    eigenvalues: NDArray[np.complexfloating[Any]]

    @property
    def stable_flow(self) -> Mask:
        """(points,): whether each is stable under the differential equation x' = f(x)."""
        return np.all(np.real(self.eigenvalues) < 0, axis=1)

    @property
    def stable_map(self) -> Mask:
        """(points,): whether each is stable under the trained map, x + f(x)."""
        return (np.abs(1.0 + self.eigenvalues) < 1.0).all(axis=1)

    @property
    def rotates(self) -> Mask:
        """(points,): whether some eigenvalues are complex."""
        return (np.abs(self.eigenvalues.imag) > 1e-9).any(axis=1)

    def number(self, counted: Mask | None = None) -> Indices:
        """Return the number of fixed points of each case, (cases,).

        Parameters
        ----------
        counted
            (points,), the points to count; None: all.
        """
        case = self.case if counted is None else self.case[counted]
        return np.bincount(case, minlength=self.cases)


def node_field(
    model: NetworkModel, region: Floats, person: Floats, levels: Sequence[float]
) -> tuple[Field, tuple[int, ...]]:
    """Return the field of single regions at constant inputs (Sip et al., 2023 [1]_, figure 6).

    Parameters
    ----------
    model
        Fitted model with the transition.
    region
        Region parameters, (people, regions, region parameters).
    person
        Person parameters, (people, person parameters).
    levels
        Values of the network input and of the external input, in all combinations.

    Returns
    -------
    field
        The field of all cases.
    shape
        Numbers of people, regions, network inputs and external inputs, in the order of the cases.

    References
    ----------
    .. [1] Sip V, et al. Science Advances 9, eabq7547 (2023). doi:10.1126/sciadv.abq7547

    Examples
    --------
    >>> from bids_dtg.dynamics.model import NetworkModel
    >>> from bids_dtg.dynamics.recipe import Recipe
    >>> model = NetworkModel(Recipe(), people=1, regions=2, frames=10)
    >>> field, shape = node_field(model, np.zeros((1, 2, 3)), np.zeros((1, 0)), (-1.0, 0.0, 1.0))
    >>> shape, find(field, starts=5, seed=0).number().shape
    ((1, 2, 3, 3), (18,))
    """
    external = levels if model.recipe.external_inputs else (0.0,)
    shape = (*region.shape[:2], len(levels), len(external))
    indices = (index.ravel() for index in np.indices(shape))
    person_of, region_of, level_of, external_of = indices  # (cases,) each
    field = Field(
        model,
        region[person_of, region_of][:, None],
        person[person_of],
        network=np.take(levels, level_of),
        external=np.take(external, external_of),
    )
    return field, shape


def find(field: Field, starts: int, seed: int) -> FixedPoints:
    """Find the fixed points of all cases of a field by Newton's method from many random starts.

    The field is piecewise linear, because its hidden layer is; a Newton step within one piece ends
    at the fixed point. Starts that do not converge follow the flow by implicit steps, and the
    remaining ones use SciPy's hybrid method.

    Parameters
    ----------
    field
        Field whose fixed points are searched.
    starts
        Number of starts in each case, uniform between -2 and 2.
    seed
        Seed of the random states from which the search starts.

    Returns
    -------
    FixedPoints
        Roots closer than 1e-4 are merged; each element of f is below 1e-6 at a root.
    """
    at_once = max(1, min(_ROWS, 1 + 10**7 // field.dimension**2) // starts)
    rng = np.random.default_rng(seed)
    case_of_roots, states_of_roots = [], []
    for cases in np.split(np.arange(field.cases), range(at_once, field.cases, at_once)):
        begin = rng.uniform(-START, START, (len(cases), starts, field.dimension))
        rows = np.repeat(cases, starts)
        roots, is_root = _roots(field, begin.reshape(len(rows), -1), rows)
        is_root = is_root.reshape(len(cases), starts)
        is_new = (is_root & ~_is_repeated(roots.reshape(begin.shape), is_root)).ravel()
        case_of_roots.append(rows[is_new])
        states_of_roots.append(roots[is_new])
    case = np.concatenate(case_of_roots)
    states = np.concatenate(states_of_roots)
    return FixedPoints(field.cases, case, states, _eigenvalues(field, states, case))


def _eigenvalues(
    field: Field, states: Floats, case: Indices
) -> NDArray[np.complexfloating[Any]]:
    values = np.linalg.eigvals(field.jacobian(states, case))
    order = np.argsort(values.real, axis=1)
    return np.take_along_axis(values, order, axis=1).astype(complex)


def _is_repeated(ends: Floats, is_root: Mask) -> Mask:
    """Return which ends of searches are roots that an earlier start has reached, (cases, starts).

    Parameters
    ----------
    ends
        (cases, starts, dimension).
    is_root
        (cases, starts).
    """
    before = np.tri(ends.shape[1], k=-1, dtype=bool)
    is_repeated = np.zeros_like(is_root)
    for row, case_ends in enumerate(ends):
        distances = np.linalg.norm(case_ends[:, None] - case_ends, axis=2)
        is_same = (distances < APART) & before & is_root[row]
        is_repeated[row] = is_same.any(axis=1)
    return is_repeated


def _roots(field: Field, starts: Floats, case: Indices) -> tuple[Floats, Mask]:
    """Return the ends of the searches, (rows, dimension), and whether each is a root.

    No method finds all roots; each of the three takes the starts that the one before left over.
    """
    states = starts.copy()
    is_root = np.zeros(len(starts), bool)
    for search in (_newton, _implicit, _hybrid):
        rest = np.flatnonzero(~is_root)
        if len(rest):
            states[rest] = search(field, starts[rest], case[rest])
            error = np.abs(field.change(states[rest], case[rest]))
            is_root[rest] = error.max(axis=1) < TOLERANCE
    return states, is_root


def _newton(field: Field, starts: Floats, case: Indices) -> Floats:
    """Search by a damped Newton method, which can stop where f is not differentiable."""
    states, change = starts.copy(), field.change(starts, case)
    going = np.arange(len(states))
    for _ in range(_ITERATIONS):
        going = going[np.abs(change[going]).max(axis=1) >= _EXACT]
        if not len(going):
            break
        step = _newton_step(field.jacobian(states[going], case[going]), change[going])
        going = _advance(field, states, change, case, going, step)
    return states


def _implicit(field: Field, starts: Floats, case: Indices) -> Floats:
    """Follow the flow until it rests, by growing implicit steps, which cross non-smooth points."""
    states, going = starts.copy(), np.arange(len(starts))
    identity = np.eye(field.dimension)
    for length in _GROWTH ** np.arange(_ITERATIONS):
        change = field.change(states[going], case[going])
        far = np.abs(change).max(axis=1) >= _EXACT
        going, change = going[far], change[far]
        if not len(going):
            break
        jacobian = field.jacobian(states[going], case[going])
        states[going] += _newton_step(jacobian - identity / length, change)
    return states


def _hybrid(field: Field, starts: Floats, case: Indices) -> Floats:
    """Search by SciPy's hybrid method, one start at a time."""
    from scipy.optimize import root

    ends = []
    for start, start_case in zip(starts, case[:, None], strict=True):
        solution = root(
            lambda x, case=start_case: field.change(x[None], case)[0],
            start,
            jac=lambda x, case=start_case: field.jacobian(x[None], case)[0],
            method="hybr",
            options={"xtol": 1e-10},
        )
        ends.append(solution.x)
    return np.array(ends)


def _newton_step(jacobian: Floats, change: Floats) -> Floats:
    try:
        step: Floats = np.linalg.solve(jacobian, -change[..., None])[..., 0]
    except np.linalg.LinAlgError:
        # f is constant where no unit of a hidden layer is active.
        step = (np.linalg.pinv(jacobian) @ -change[..., None])[..., 0]
    return step


def _advance(
    field: Field,
    states: Floats,
    change: Floats,
    case: Indices,
    going: Indices,
    step: Floats,
) -> Indices:
    """Take the steps, each halved until it reduces f; return the rows where one did.

    `states` and `change` are updated in place.
    """
    size = np.linalg.norm(change[going], axis=1)
    waiting = np.arange(len(going))  # for a step that reduces f
    for share in 0.5 ** np.arange(_HALVINGS):
        rows = going[waiting]
        tried = states[rows] + share * step[waiting]
        value = field.change(tried, case[rows])
        limit = (1.0 - _LEAST_GAIN * share) * size[waiting]
        nearer = np.linalg.norm(value, axis=1) < limit
        states[rows[nearer]] = tried[nearer]
        change[rows[nearer]] = value[nearer]
        waiting = waiting[~nearer]
        if not len(waiting):
            break
    return np.delete(going, waiting)


def settles(field: Field, seed: int) -> Mask:
    """Step states without noise by x + f(x), and test whether they settle, (cases,).

    A state has settled if the last tenth of the frames stays within 1e-3 of the final state. It is
    stepped for 400 frames; if it has not settled then, for another 800.

    Parameters
    ----------
    field
        Field whose cases are followed, each from a random state of its own.
    seed
        Seed of these states, uniform between -2 and 2.

    Examples
    --------
    >>> from bids_dtg.dynamics.model import NetworkModel
    >>> from bids_dtg.dynamics.recipe import Recipe
    >>> model = NetworkModel(Recipe(), people=1, regions=2, frames=10)
    >>> region, person = np.zeros((1, 2, 3)), np.zeros((1, 0))
    >>> settles(Field(model, region, person, weights=1.0 - np.eye(2)), seed=0).shape
    (1,)
    """
    case = np.arange(field.cases)
    size = (field.cases, field.dimension)
    starts = np.random.default_rng(seed).uniform(-START, START, size)
    states, settled = _followed(field, starts, case, _SETTLING)
    # A state that has diverged cannot be followed further.
    rest = np.flatnonzero(~settled & np.isfinite(states).all(axis=1))
    if len(rest):
        frames = _LONGER - _SETTLING
        _, settled[rest] = _followed(field, states[rest], case[rest], frames)
    return settled


def _followed(
    field: Field, states: Floats, case: Indices, frames: int
) -> tuple[Floats, Mask]:
    """Step states for some frames; return the last states, and whether each has settled."""
    last = []
    with np.errstate(over="ignore", invalid="ignore"):  # diverging states
        for frame in range(frames):
            states = states + field.change(states, case)
            if frame >= frames * (1 - _LAST):
                last.append(states)
        near = np.abs(np.array(last) - states) < _NEAR
    return states, np.asarray(near.all(axis=(0, 2)))
