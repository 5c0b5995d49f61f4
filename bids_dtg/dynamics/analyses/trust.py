"""Whether a model's parameters can be trusted, as columns, rows and warnings of its page."""

from __future__ import annotations

from collections.abc import Mapping

from bids_dtg.cohort.column import Column
from bids_dtg.dynamics.calibration import Calibration
from bids_dtg.report.flags import Flag
from bids_dtg.stats.paired import Interval, wilson_interval

SCORES = "desc-parameters_scores"  # the table of parameters
NAME = Column("name", "Name of the parameter")
TRUST = (
    Column(
        "rho",
        "Spearman's rho of true values and posterior means, of simulations with known parameters",
        "rank correlation with the truth",
        interval="95 % interval over simulations",
    ),
    Column(
        "coverage",
        "Share of true values within their 90 % interval",
        "in 90 % intervals",
        interval="95 % interval (Wilson)",
    ),
    Column(
        "sbc_p",
        "p of the ranks of true values among draws of their posteriors, which are uniform where "
        "posteriors are right (simulation-based calibration; chi-squared, 10 bins)",
        "p of ranks",
    ),
    Column("fault", "Why the parameter cannot be trusted, in words; n/a: it can"),
)


def trust_of(own: Calibration) -> dict[str, object]:
    """Return the cells of `TRUST` of a parameter."""
    return {
        "rho": Interval(own.rho, own.rho_low, own.rho_high),
        "coverage": wilson_interval(own.coverage, own.simulations),
        "sbc_p": own.uniform_p,
        **({"fault": own.fault} if own.fault else {}),
    }


def trust_flags(judged: Mapping[str, Calibration]) -> list[Flag]:
    """Return a warning for each parameter, by its name, that cannot be trusted."""
    return [Flag("warning", f"{name} is {own.fault}") for name, own in judged.items() if own.fault]
