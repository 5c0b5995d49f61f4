import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bids_dtg.twin.adjustment import Adjustment, Covariates


def people(
    seed: int, number: int = 30, edges: int = 7
) -> tuple[Covariates, np.ndarray]:
    rng = np.random.default_rng(seed)
    values = np.column_stack(
        [rng.normal(45, 15, number), rng.lognormal(-2, 0.4, number)]
    )
    sites = np.array(["north", "south", "west"])[rng.integers(3, size=number)]
    covariates = Covariates(
        {"age": values[:, 0], "motion": values[:, 1], "site": sites}
    )
    return covariates, rng.normal(0, 0.2, (number, edges)) + values[:, :1] * rng.normal(
        0, 0.01, edges
    )


@pytest.mark.slow
@given(st.integers(0, 2**16))
def test_what_is_left_is_the_residual_of_least_squares(seed):
    covariates, edges = people(seed)
    design = np.column_stack(
        [
            np.ones(len(edges)),
            *(covariates.values[name] for name in ("age", "motion")),
            *(covariates.values["site"] == site for site in ("north", "south")),
        ]
    )
    residual = edges - design @ np.linalg.lstsq(design, edges, rcond=None)[0]
    residuals = Adjustment.fit(edges, covariates).apply(edges, covariates)
    np.testing.assert_allclose(residuals, residual + edges.mean(axis=0), atol=1e-9)


def test_covariates_that_are_the_same_for_all_change_nothing():
    edges = people(1)[1]
    same = Covariates(
        {"age": np.full(len(edges), 30.0), "site": np.full(len(edges), "a")}
    )
    np.testing.assert_array_equal(Adjustment.fit(edges, same).apply(edges, same), edges)


@pytest.mark.parametrize("unknown", [np.nan, "elsewhere", ""])
def test_people_with_an_unknown_value_have_the_mean(unknown):
    covariates, edges = people(2)
    model = Adjustment.fit(edges, covariates)
    age, sites = covariates.values["age"].copy(), covariates.values["site"].astype("U9")
    if isinstance(unknown, str):
        sites[0], column = unknown, ("site=north", "site=south", "site=west")
    else:
        age[0], column = unknown, ("age",)
    some = Covariates({**covariates.values, "age": age, "site": sites})
    other_columns = [name not in column for name in model.names]
    values = some.columns(model.names)[0]
    expected = (
        edges[0] - (values - model.mean)[other_columns] @ model.slopes[other_columns]
    )
    np.testing.assert_allclose(model.apply(edges, some)[0], expected)
