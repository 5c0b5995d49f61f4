"""What the columns of the tables mean: written beside each table, as JSON."""

from __future__ import annotations

from collections.abc import Iterable
from types import MappingProxyType

from bids_dtg.cohort.columns import Meanings, explain
from bids_dtg.stats.verdict import RULE

_AT_INTERVAL = "an end of the 95 % interval, by drawing people again"

# Patterns of names, and what they mean; {0} is what the pattern's group matched.
_MEANINGS: Meanings = MappingProxyType(
    {
        "participant_id|region|session|name|words|feature|figure|parameter|measure|value": "{own}",
        "what": "model (also without some of its inputs), or baseline (also ceilings)",
        "trained": "whether the series was trained on",
        r"theta(\d+)": "posterior mean of parameter {0}; parameters are in the order of their use",
        r"theta(\d+)_sd": "standard deviation of the posterior of parameter {0}",
        "in_the_model": "number of the parameter among the model's own",
        "kl_mean": "nats; mean over regions of people of the divergence from the prior",
        "kl_sd": "nats; standard deviation over regions of people",
        "restart": "number of the training from other random weights",
        "seed": "of the training",
        "epoch": "number, from 1",
        "epochs": "how many",
        "loss": "what training lowers, ramped terms in part: nats a series, or amortised a frame",
        "elbo": "nats a series that was trained on; all terms in full",
        "held_out_elbo": "nats a series that was held out; all terms in full",
        "region_kl": "nats a series; divergence of the region parameters from their prior",
        "learning_rate": "of Adam",
        "seconds": "of the epoch",
        "hours": "of the training",
        "chosen": "whether the model is of this restart",
        "simulations": "how many of each person, or of regions",
        "unbounded": "simulations that grew without bounds, and are left out",
        "people|regions|pairs|number|cases|points": "how many",
        r"fit_of_mean_(.+)_(?:low|high)|fit_(.+)_(?:low|high)": _AT_INTERVAL,
        r"fit_of_mean_(.+)": "Pearson r; connectivity of {0} with the mean over simulations",
        r"endless_fit_(.+)": "Pearson r; connectivity of {0} with that of endless simulations",
        r"fit_(.+)": "Pearson r between upper triangles of functional connectivity of {0} and of a "
        "simulation, mean over simulations, then over people",
        r"one_step_r2_(.+)": "share of the variance of {0} that the frame before explains",
        "strength": "mean functional connectivity of simulations, r",
        "series": "which series: trained on or held out",
        "elbo_mean": "nats; mean over series",
        "elbo_sd": "nats; standard deviation over series",
        "score": "mean over people of the figure: elbo and nll_K (negative log density K frames "
        "ahead), nats a region a frame; r2_K, share of the variance K frames ahead; fit, Pearson r "
        "of functional connectivity; icc_theta_N, ICC(A,1) of parameter N with the first session",
        "score_low|score_high": _AT_INTERVAL,
        r"advantage(?:_.+)?_p": "two-sided p of the advantage, by sign flips over people",
        r"advantage(?:_.+)?_(?:low|high)": "an end of its 95 % interval (Student's t)",
        "advantage": "by how much the model is better than this, mean over people; above 0: it is",
        r"advantage_of_mean_(.+)": "by how much the model's fit of the mean over simulations with "
        "{0} is above this, mean over people",
        r"advantage_(.+)": "by how much the model's fit with {0} is above this, mean over people",
        r"verdict|verdict_.+": f"on the model against this: {RULE}",
        "unit": "of observed, simulated, low and high",
        "observed": "of people's own sessions, mean over people",
        "simulated": "mean over simulations and people",
        "low|high": "an end of the middle 90 % of simulations, mean over people",
        "median_p": "median over people of the two-sided predictive p",
        "outside": "share of people outside the middle 90 % of their simulations",
        "outside_(?:low|high)": "an end of Wilson's 95 % interval of that share",
        "adjusted_r2_pairs": "explained by the parameters, over people and regions as if apart",
        r"beta_theta(\d+)_pairs": "standard deviations of the feature a unit of parameter {0}",
        "adjusted_r2_pairs_features": "explained by zero-crossings, the correlation with the mean "
        "signal and that with the network input, without a model",
        "adjusted_r2_regions": "explained by the parameters, over regions (means over people)",
        "p_regions": "of adjusted_r2_regions, among surrogate maps",
        r"r_theta(\d+)_regions": "Pearson r with parameter {0} over regions",
        r"p_theta(\d+)_regions": "of r with parameter {0}, among surrogate maps",
        r"rho(\d+)": "Spearman's rho of the figure with parameter {0}",
        r"slope(\d+)": "of a linear fit of the figure to all parameters, a unit of parameter {0}",
        "r2": "share of the figure's variance that the linear fit explains",
        "icc_pairs": "ICC(A,1) between sessions over regions of people",
        "r_pairs": "Pearson r between sessions over regions of people",
        "icc_regions_mean": "ICC(A,1) over people in each region, mean over regions",
        "r_regions_mean": "Pearson r over people in each region, mean over regions",
        "r_people_mean": "Pearson r over regions in each person, mean over people",
        "network_input|external_input": "value that the input is held at",
        "one_point|several_points|no_point": "cases with that many fixed points",
        "one_stable_point": "cases with one fixed point, which is stable as a flow",
        "stable_flow": "fixed points where all eigenvalues have real parts below 0",
        "stable_map": "fixed points where all of 1 + eigenvalue lie inside the unit circle",
        "rotating": "fixed points with complex eigenvalues",
        "largest_real_part": "of all eigenvalues",
        "largest_size_in_the_map": "of all of 1 + eigenvalue",
        "settling_flow|settling_map": "cases that come to rest from a random state without noise",
    }
)
_OWN = {"participant_id": "the person", "words": "what the row is of, in words"}


def meanings(columns: Iterable[str]) -> dict[str, dict[str, str]]:
    """Return what columns mean, as a sidecar of BIDS says it.

    Raises
    ------
    KeyError
        Nobody has said what a column means.

    Examples
    --------
    >>> meanings(["theta2_sd"])
    {'theta2_sd': {'Description': 'standard deviation of the posterior of parameter 2'}}
    """
    return explain(columns, _MEANINGS, _OWN)
