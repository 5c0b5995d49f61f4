"""Fixed points of the transition, for a single region and for a network, and their stability.

A trained transition is a map, x + f(x), whose step is one frame. Sip et al. (2023) treat f as the
right-hand side of a differential equation; both have the same fixed points, but other stability.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from bids_dtg.dynamics.model import NetworkModel

Values = NDArray[np.floating[Any]]
Numbers = NDArray[np.intp]

TOLERANCE = 1e-6  # of each element of f at a fixed point
APART = 1e-4  # roots that are closer are considered equal
START = 2.0  # starts are between -2 and 2
_EXACT = 1e-9  # of each element of f: target of the search
_ITERATIONS, _HALVINGS, _GROWTH = 60, 8, 1.5
_LEAST_GAIN = 1e-4  # share of |f| that a whole step must at least remove
_ROWS = 20_000  # cases times starts that are processed together
_SETTLING, _LONGER = 400, 1200  # frames for which a state is followed; if it has not settled
_LAST, _NEAR = 0.1, 1e-3  # settled: this share of the frames is within this distance of the end


class Field(Protocol):
    """Change of states, for several cases."""

    @property
    def cases(self) -> int:
        """Number of cases."""
        ...

    @property
    def dimension(self) -> int:
        """Dimension of a state."""
        ...

    def change(self, states: Values, case: Numbers) -> Values:
        """Return f of states, (rows, dimension); each row is of a case."""
        ...

    def jacobian(self, states: Values, case: Numbers) -> Values:
        """Return the derivatives of f, (rows, dimension, dimension)."""
        ...


class NodeField:
    """The transition of single regions with given inputs, one region for each case.

    Parameters
    ----------
    model
        Fitted model with the transition.
    region, person
        Parameters, (cases, parameters).
    network, external
        (cases,), the inputs; all external ones of a model have the same value, if it has any.
    """

    def __init__(
        self,
        model: NetworkModel,
        region: Values,
        person: Values,
        network: Values,
        external: Values,
    ) -> None:
        self._layers = _Layers(model)
        self._constant = self._layers.constant(region, person, external)
        self._constant = self._constant + np.multiply.outer(network, self._layers.of_network)

    @property
    def cases(self) -> int:
        """Number of cases."""
        return len(self._constant)

    @property
    def dimension(self) -> int:
        """Dimension of a state."""
        return int(self._layers.of_state.shape[1])

    def change(self, states: Values, case: Numbers) -> Values:
        """Return f of states, (rows, states); each row is of a case."""
        return self._layers.out(self._hidden(states, case))

    def jacobian(self, states: Values, case: Numbers) -> Values:
        """Return the derivatives of f, (rows, states, states)."""
        active = self._hidden(states, case) > 0
        jacobian: Values = (self._layers.out_weight * active[:, None]) @ self._layers.of_state
        return jacobian

    def by_network(self, states: Values, case: Numbers) -> Values:
        """Return the derivative of the expected observation's change by the network input, (rows,).

        It is that of A f, where A are the weights of the observation.
        """
        return self._by(self._layers.of_network, states, case)

    def by_external(self, states: Values, case: Numbers) -> Values:
        """Return the derivative of that change by each external input, (rows, external inputs)."""
        return self._by(self._layers.of_external, states, case)

    def _by(self, of_input: Values, states: Values, case: Numbers) -> Values:
        active = self._hidden(states, case) > 0
        gain: Values = active * (self._layers.observation @ self._layers.out_weight)
        return gain @ of_input

    def _hidden(self, states: Values, case: Numbers) -> Values:
        hidden: Values = states @ self._layers.of_state.T + self._constant[case]
        return hidden


class NetworkField:
    """The transition of all regions of a network, which provides its own input.

    A state concatenates the states of all regions.

    Parameters
    ----------
    model
        Fitted model with the transition.
    weights
        (regions, regions), the structural connectome.
    region
        Region parameters, (cases, regions, region parameters).
    person
        Person parameters, (cases, person parameters).
    external
        Constant external input, (cases,).
    """

    def __init__(
        self,
        model: NetworkModel,
        weights: Values,
        region: Values,
        person: Values,
        external: Values,
    ) -> None:
        self._layers = _Layers(model)
        self._weights = np.asarray(weights, np.float64)
        self._observation = self._layers.observation
        offset = model.observation.bias.item() * self._weights.sum(axis=1)
        own = self._layers.constant(region, person[:, None], external[:, None])
        self._constant = own + np.multiply.outer(offset, self._layers.of_network)
        # Input of a region's hidden layer from each state of each region.
        self._coupling = np.multiply.outer(self._weights, self._observation)

    @property
    def cases(self) -> int:
        """Number of cases."""
        return len(self._constant)

    @property
    def dimension(self) -> int:
        """Dimension of a state."""
        return len(self._weights) * len(self._observation)

    def change(self, states: Values, case: Numbers) -> Values:
        """Return f of states, (rows, dimension); each row is of a case."""
        return self._layers.out(self._hidden(states, case)).reshape(states.shape)

    def jacobian(self, states: Values, case: Numbers) -> Values:
        """Return the derivatives of f, (rows, dimension, dimension)."""
        layers, regions = self._layers, len(self._weights)
        gain = layers.out_weight * (self._hidden(states, case) > 0)[:, :, None]
        by_network = gain @ layers.of_network  # (rows, regions, states)
        jacobian = np.einsum("rna,nmb->rnamb", by_network, self._coupling)
        own = np.arange(regions)
        jacobian[:, own, :, own] += (gain @ layers.of_state).swapaxes(0, 1)
        whole: Values = jacobian.reshape(len(states), self.dimension, self.dimension)
        return whole

    def _hidden(self, states: Values, case: Numbers) -> Values:
        by_region = states.reshape(len(states), len(self._weights), len(self._observation))
        network = (by_region @ self._observation) @ self._weights.T
        hidden: Values = by_region @ self._layers.of_state.T + self._constant[case]
        hidden += np.multiply.outer(network, self._layers.of_network)
        return hidden


class _Layers:
    """The weights of the transition, in float64."""

    def __init__(self, model: NetworkModel) -> None:
        def array(tensor: Any) -> Values:
            values: Values = tensor.detach().cpu().double().numpy()
            return values

        transition = model.transition
        borders = np.cumsum(transition.sizes)[:-1]
        hidden = np.split(array(transition.hidden.weight), borders, axis=1)
        self.of_state, self.of_region, self.of_person, of_network, self.of_external = hidden
        self.of_network = of_network[:, 0]
        self._bias = array(transition.hidden.bias)
        self.out_weight, self._out_bias = (
            array(transition.out.weight),
            array(transition.out.bias),
        )
        self.observation = array(model.observation.weight)[0]

    def constant(self, region: Values, person: Values, external: Values) -> Values:
        """Return the hidden layer's input that does not depend on the state."""
        constant: Values = region @ self.of_region.T + person @ self.of_person.T + self._bias
        if self.of_external.shape[1]:
            constant = constant + np.multiply.outer(external, self.of_external.sum(axis=1))
        return constant

    def out(self, hidden: Values) -> Values:
        change: Values = np.maximum(hidden, 0.0) @ self.out_weight.T + self._out_bias
        return change


@dataclass(frozen=True, eq=False)
class FixedPoints:
    """The fixed points of several cases, one row each."""

    shape: tuple[int, ...]  # of the cases
    case: Numbers  # (points,), the number of the case; `numpy.unravel_index` makes it an index
    states: Values  # (points, dimension)
    eigenvalues: NDArray[np.complexfloating[Any]]  # (points, dimension), of the derivatives of f
    converged: Numbers  # (cases,), number of starts from which a fixed point was found
    starts: int  # number for each case

    @property
    def stable_flow(self) -> NDArray[np.bool_]:
        """(points,): whether each is stable with f as the right-hand side of an equation."""
        stable: NDArray[np.bool_] = np.all(np.real(self.eigenvalues) < 0, axis=1)
        return stable

    @property
    def stable_map(self) -> NDArray[np.bool_]:
        """(points,): whether each is stable under the map that was trained, x + f(x)."""
        stable: NDArray[np.bool_] = (np.abs(1.0 + self.eigenvalues) < 1.0).all(axis=1)
        return stable

    @property
    def rotates(self) -> NDArray[np.bool_]:
        """(points,): whether some eigenvalues are complex."""
        rotates: NDArray[np.bool_] = (np.abs(self.eigenvalues.imag) > 1e-9).any(axis=1)
        return rotates

    def number(self, of: NDArray[np.bool_] | None = None) -> Numbers:
        """Return the number of fixed points of each case, in the cases' shape.

        Parameters
        ----------
        of
            (points,), the points to count; None: all.
        """
        case = self.case if of is None else self.case[of]
        return np.bincount(case, minlength=int(np.prod(self.shape))).reshape(self.shape)


def node_fixed_points(
    model: NetworkModel,
    region: Values,
    person: Values,
    *,
    levels: Sequence[float] = (-1.0, 0.0, 1.0),
    starts: int = 60,
    seed: int = 0,
) -> FixedPoints:
    """Find fixed points of single regions, at given inputs (Sip et al., 2023 [1]_, figure 6).

    Parameters
    ----------
    model
        Fitted model with the transition.
    region
        Region parameters, (people, regions, region parameters).
    person
        Person parameters, (people, person parameters).
    levels
        Values of each of the two inputs, in all combinations.
    starts
        Number of starts of the search in each case.
    seed
        Seed of the random states from which the search starts.

    Returns
    -------
    FixedPoints
        Cases are (people, regions, network input, external input).

    References
    ----------
    .. [1] Sip V, et al. Science Advances 9, eabq7547 (2023). doi:10.1126/sciadv.abq7547

    Examples
    --------
    >>> from bids_dtg.dynamics.model import NetworkModel
    >>> from bids_dtg.dynamics.recipe import Recipe
    >>> model = NetworkModel(Recipe(), people=1, regions=2, frames=10)
    >>> points = node_fixed_points(model, np.zeros((1, 2, 3)), np.zeros((1, 0)), starts=5)
    >>> points.number().shape
    (1, 2, 3, 3)
    """
    external = levels if model.recipe.external_inputs else (0.0,)
    shape = (*region.shape[:2], len(levels), len(external))
    who, where, u, u_ext = (index.ravel() for index in np.indices(shape))
    field = NodeField(
        model, region[who, where], person[who], np.take(levels, u), np.take(external, u_ext)
    )
    return find(field, shape, starts, seed)


def network_fixed_points(
    model: NetworkModel,
    weights: Values,
    region: Values,
    person: Values,
    *,
    external: float = 0.0,
    starts: int = 100,
    seed: int = 0,
) -> FixedPoints:
    """Find fixed points of people's whole networks.

    Parameters
    ----------
    model
        Fitted model with the transition.
    weights
        (people, regions, regions), structural connectomes.
    region
        Region parameters, (people, draws, regions, region parameters).
    person
        Person parameters, (people, draws, person parameters).
    external
        Constant value of the external input.
    starts
        Number of starts of the search in each case.
    seed
        Seed of the starts; a person's starts do not depend on other people.

    Returns
    -------
    FixedPoints
        Cases are (people, draws); a state concatenates the regions' states.

    Examples
    --------
    >>> from bids_dtg.dynamics.model import NetworkModel
    >>> from bids_dtg.dynamics.recipe import Recipe
    >>> model = NetworkModel(Recipe(), people=1, regions=2, frames=10)
    >>> weights, parameters = 1.0 - np.eye(2)[None], np.zeros((1, 1, 2, 3))
    >>> points = network_fixed_points(model, weights, parameters, np.zeros((1, 1, 0)), starts=5)
    >>> points.number().shape, points.states.shape[1]
    ((1, 1), 6)
    """
    draws = region.shape[1]
    found = [
        find(
            NetworkField(model, own, of_regions, of_person, np.full(draws, external)),
            (draws,),
            starts,
            seed,
        )
        for own, of_regions, of_person in zip(weights, region, person, strict=True)
    ]
    return FixedPoints(
        shape=(len(weights), draws),
        case=np.concatenate([each.case + draws * number for number, each in enumerate(found)]),
        states=np.concatenate([each.states for each in found]),
        eigenvalues=np.concatenate([each.eigenvalues for each in found]),
        converged=np.concatenate([each.converged for each in found]),
        starts=starts,
    )


def find(field: Field, shape: tuple[int, ...], starts: int, seed: int) -> FixedPoints:
    """Find the fixed points of all cases of a field by Newton's method from many random starts.

    The field is linear between the kinks of its hidden layer, so a step that stays between
    them ends at the fixed point. Where this does not converge, the flow is followed by
    implicit steps; remaining starts use SciPy's hybrid method.

    Parameters
    ----------
    field
        Field whose fixed points are searched.
    shape
        Shape of the field's cases.
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
    case, states, converged = [], [], []
    for cases in np.split(np.arange(field.cases), range(at_once, field.cases, at_once)):
        begin = rng.uniform(-START, START, (len(cases), starts, field.dimension))
        rows = np.repeat(cases, starts)
        roots, found = _roots(field, begin.reshape(len(rows), -1), rows)
        new = found.reshape(len(cases), starts) & ~_again(roots.reshape(begin.shape), found)
        case.append(rows[new.ravel()])
        states.append(roots[new.ravel()])
        converged.append(found.reshape(len(cases), starts).sum(axis=1))
    where, at = np.concatenate(case), np.concatenate(states)
    return FixedPoints(
        shape=shape,
        case=where,
        states=at,
        eigenvalues=_eigenvalues(field, at, where),
        converged=np.concatenate(converged),
        starts=starts,
    )


def _eigenvalues(field: Field, states: Values, case: Numbers) -> NDArray[np.complexfloating[Any]]:
    values = np.linalg.eigvals(field.jacobian(states, case))
    return np.take_along_axis(values, np.argsort(values.real, axis=1), axis=1).astype(complex)


def _again(roots: Values, found: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return which roots, (cases, starts, dimension), were already found from another start."""
    known = found.reshape(roots.shape[:2])
    before = np.tri(roots.shape[1], k=-1, dtype=bool)
    again = np.zeros_like(known)
    for row, (own, mine) in enumerate(zip(roots, known, strict=True)):
        apart = np.linalg.norm(own[:, None] - own, axis=2)
        again[row] = ((apart < APART) & before & mine).any(axis=1)
    return again


def _roots(field: Field, starts: Values, case: Numbers) -> tuple[Values, NDArray[np.bool_]]:
    """Return the ends of the searches, (rows, dimension), and whether each is a root."""
    states, found = starts.copy(), np.zeros(len(starts), bool)
    for search in _SEARCHES:
        rest = np.flatnonzero(~found)
        if not len(rest):
            break
        states[rest] = search(field, starts[rest], case[rest])
        found[rest] = np.abs(field.change(states[rest], case[rest])).max(axis=1) < TOLERANCE
    return states, found


def _newton(field: Field, starts: Values, case: Numbers) -> Values:
    """Damped Newton method; it can stop at a kink, where f is not differentiable."""
    states, change = starts.copy(), field.change(starts, case)
    going = np.arange(len(states))
    for _ in range(_ITERATIONS):
        going = going[np.abs(change[going]).max(axis=1) >= _EXACT]
        if not len(going):
            break
        step = _newton_step(field.jacobian(states[going], case[going]), change[going])
        going = _advance(field, states, change, case, going, step)
    return states


def _implicit(field: Field, starts: Values, case: Numbers) -> Values:
    """Follow the flow to its rest by growing implicit steps, over any kink."""
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


def _hybrid(field: Field, starts: Values, case: Numbers) -> Values:
    """Search by SciPy's hybrid method, start by start."""
    from scipy.optimize import root

    def end(start: Values, own: Numbers) -> Values:
        found: Values = root(
            lambda x: field.change(x[None], own)[0],
            start,
            jac=lambda x: field.jacobian(x[None], own)[0],
            method="hybr",
            options={"xtol": 1e-10},
        ).x
        return found

    rows = zip(starts, case[:, None], strict=True)
    return np.array([end(*row) for row in rows]).reshape(starts.shape)


_SEARCHES = (_newton, _implicit, _hybrid)  # each continues the unfinished starts of the last


def _newton_step(jacobian: Values, change: Values) -> Values:
    try:
        step: Values = np.linalg.solve(jacobian, -change[..., None])[..., 0]
    except np.linalg.LinAlgError:  # f is constant where no unit of a hidden layer is active
        step = (np.linalg.pinv(jacobian) @ -change[..., None])[..., 0]
    return step


def _advance(
    field: Field, states: Values, change: Values, case: Numbers, going: Numbers, step: Values
) -> Numbers:
    """Take the steps, each halved until it reduces f; return the rows with such a step.

    `states` and `change` are updated in place.
    """
    size, left = np.linalg.norm(change[going], axis=1), np.arange(len(going))
    for share in 0.5 ** np.arange(_HALVINGS):
        rows = going[left]
        tried = states[rows] + share * step[left]
        value = field.change(tried, case[rows])
        nearer = np.linalg.norm(value, axis=1) < (1.0 - _LEAST_GAIN * share) * size[left]
        states[rows[nearer]], change[rows[nearer]] = tried[nearer], value[nearer]
        left = left[~nearer]
        if not len(left):
            break
    return np.delete(going, left)


def follow_map(field: Field, states: Values, case: Numbers, frames: int) -> Values:
    """Step states by the trained map, x + f(x), without noise.

    Parameters
    ----------
    field
        Change of states.
    states
        First states, (rows, dimension).
    case
        (rows,), the case of each.
    frames
        Number of steps.

    Returns
    -------
    numpy.ndarray
        (frames + 1, rows, dimension), the first states included.
    """
    path = [states]
    with np.errstate(over="ignore", invalid="ignore"):  # diverging states
        for _ in range(frames):
            path.append(path[-1] + field.change(path[-1], case))
    return np.array(path)


@dataclass(frozen=True, eq=False)
class Settling:
    """Whether networks settle from random states, without noise."""

    flow: NDArray[np.bool_]  # (people, draws, starts), with f as the right-hand side
    map: NDArray[np.bool_]  # as flow, under the map that was trained, x + f(x)


def network_settling(
    model: NetworkModel,
    weights: Values,
    region: Values,
    person: Values,
    *,
    external: float = 0.0,
    starts: int = 1,
    seed: int = 0,
) -> Settling:
    """Simulate people's networks without noise, and test whether they settle.

    Parameters
    ----------
    model, weights, region, person, external
        As for `network_fixed_points`.
    starts
        Number of starts of each draw, uniform between -2 and 2.
    seed
        Seed of the starts; a person's starts do not depend on other people.

    Examples
    --------
    >>> from bids_dtg.dynamics.model import NetworkModel
    >>> from bids_dtg.dynamics.recipe import Recipe
    >>> model = NetworkModel(Recipe(), people=1, regions=2, frames=10)
    >>> weights, parameters = 1.0 - np.eye(2)[None], np.zeros((1, 1, 2, 3))
    >>> network_settling(model, weights, parameters, np.zeros((1, 1, 0))).map.shape
    (1, 1, 1)
    """
    draws = region.shape[1]
    case = np.repeat(np.arange(draws), starts)
    flow, of_map = [], []
    for own, of_regions, of_person in zip(weights, region, person, strict=True):
        field = NetworkField(model, own, of_regions, of_person, np.full(draws, external))
        states = np.random.default_rng(seed).uniform(
            -START, START, (draws * starts, field.dimension)
        )
        flow.append(_settles(field, states, case, _flow).reshape(draws, starts))
        of_map.append(_settles(field, states, case, _map).reshape(draws, starts))
    return Settling(flow=np.array(flow), map=np.array(of_map))


# Simulates states, (rows, dimension), for some frames, and returns the last frames.
_Follower = Callable[[Field, Values, Numbers, int], Values]


def _settles(field: Field, states: Values, case: Numbers, follow: _Follower) -> NDArray[np.bool_]:
    """Return whether states settle: whether they finally stay within 1e-3 of their end.

    They are simulated for 400 frames, and if that is too short, for 1,200 in all.
    """
    path = follow(field, states, case, _SETTLING)
    settled = _at_rest(path)
    # What has diverged stays so, and cannot be followed further.
    rest = np.flatnonzero(~settled & np.isfinite(path[-1]).all(axis=1))
    if len(rest):
        longer = follow(field, path[-1, rest], case[rest], _LONGER - _SETTLING)
        settled[rest] = _at_rest(longer)
    return settled


def _at_rest(path: Values) -> NDArray[np.bool_]:
    """Return which rows of (frames, rows, dimension) stay near their end."""
    with np.errstate(invalid="ignore"):  # diverged rows do not
        near: NDArray[np.bool_] = (np.abs(path - path[-1]) < _NEAR).all(axis=(0, 2))
    return near


def _map(field: Field, states: Values, case: Numbers, frames: int) -> Values:
    first = int(np.ceil(frames * (1 - _LAST)))  # the frame of the last ones
    return follow_map(field, states, case, frames)[first + 1 :]


def _flow(field: Field, states: Values, case: Numbers, frames: int) -> Values:
    from scipy.integrate import solve_ivp

    times = np.linspace(frames * (1 - _LAST), frames, 1 + round(frames * _LAST))
    paths = np.full((len(times), *states.shape), np.nan)
    for row, state in enumerate(states):
        at = case[row : row + 1]
        with np.errstate(over="ignore", invalid="ignore"):
            found = solve_ivp(
                lambda _, x, at=at: field.change(x[None], at)[0],
                (0.0, frames),
                state,
                t_eval=times,
                rtol=1e-6,
                atol=1e-8,
            )
        if found.success:
            paths[:, row] = found.y.T
    return paths
