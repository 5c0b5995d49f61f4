"""Columns of the tables of scores of maps: models, contrasts, and the published tests."""

from __future__ import annotations

from bids_dtg.cohort.column import Column

_OVER_PEOPLE = "95 % interval over participants (Student's t with the jackknife)"
_WILSON = "95 % interval (Wilson)"
_CONTRAST = Column("contrast", "Label of the contrast")
_PEOPLE = Column("people", "Participants with both maps; a family counts as one")
_P = Column("p", "Two-sided p of sign flips over participants")
_DIFFERENCE = Column(
    "difference", "Mean over participants of the score minus that of the other model"
)
_DELTA = Column("cliffs_delta", "Cliff's delta of the two models' scores")


def _mean(name: str, meaning: str, heading: str = "") -> Column:
    """Return a score's column: a mean over participants and contrasts with its interval."""
    return Column(name, meaning, heading, interval=_OVER_PEOPLE)


MODEL_COLUMNS = (
    Column("model", "Name of the model"),
    _mean("r", "Correlation over voxels of a predicted with a measured map"),
    Column(
        "r_sd_over_contrasts", "Standard deviation of r over contrasts", "sd of r over contrasts"
    ),
    _mean(
        "r_over_ceiling", "r over the root of the retest's r, a contrast", "r over noise ceiling"
    ),
    _mean("dice", "Area under Dice overlap of the strongest voxels", "Dice AUC"),
    _mean("explained", "1 - squared error / variance over voxels", "explained variance"),
    _mean("r_minus_group_average", "r minus that of the group average", "r minus group average"),
    Column(
        "above_group_average",
        "Share of participants whose r is above that of the group average",
        "share of people above group average",
    ),
    _mean(
        "r_minus_own_mean",
        "r minus that of the model's own mean prediction",
        "r minus own mean prediction",
    ),
    _mean(
        "index",
        "r minus that of the model's predictions for other participants",
        "r minus another person's (index)",
    ),
    _mean("product", "index times r, a participant", "product (as published)"),
    _mean("residual_r", "r of deviations from the means over the test participants"),
    _mean(
        "residual_r_training_mean",
        "r of deviations from the training participants' mean",
        "residual r, training mean",
    ),
    _mean(
        "fingerprint",
        "Share identified, where a tie is a miss, times mean r, of each contrast",
        "fingerprint (as published)",
    ),
    Column("ratio", "index / r"),
    Column(
        "identification",
        "Share of measured maps most similar to the own prediction; k tied maps count 1 / k",
        "identified",
        interval=_WILSON,
    ),
)
CONTRAST_COLUMNS = (
    _CONTRAST,
    Column("model", "Name of the model"),
    Column("against", "Model that it is compared with"),
    _PEOPLE,
    Column("r", "Correlation over voxels of predicted with measured maps, mean over participants"),
    _DIFFERENCE,
    _P,
    Column("q", "p adjusted for all contrasts of the model (false discovery rate)"),
    _DELTA,
    Column("own_mean_r", "r of the model's own mean prediction"),
    Column("index", "r minus that of the model's predictions for other participants"),
    Column("residual_r", "r of deviations from the means over the test participants"),
    Column("identification", "Share of measured maps most similar to the own prediction"),
    Column("fingerprint", "Share identified, where a tie is a miss, times mean r"),
    Column("same_for_all", "Whether the predicted map is the same for everybody"),
    Column("retest_people", "Participants whose maps of it were measured twice; n/a: none"),
    Column("reliability", "r of the two measured maps, mean over those participants"),
    Column("ceiling", "Root of it: the r of a prediction of the true maps"),
    Column("residual_reliability", "The same of both maps less their means over participants"),
    Column("residual_ceiling", "Root of it: the residual r of a prediction of the true maps"),
)
_IDENTIFIED = "Share of measured maps most similar to the own prediction"
_MINUS_ANOTHER = "r minus that of the model's predictions for other participants"
PERSON_COLUMNS = (
    Column("participant_id", "Participant"),
    Column("contrasts", "Contrasts with both maps; scores are means over them"),
    Column("r", "Correlation over places of the predicted with the measured map"),
    Column("residual_r", "r of deviations from the means over the test participants"),
    Column("index", _MINUS_ANOTHER),
    Column("identification", _IDENTIFIED),
    Column("typicality", "Correlation of the measured maps with the group average"),
    Column("half", "typical half: typicality is at the median or above; else atypical half"),
    Column("fd_mean", "Mean framewise displacement of the rest", unit="mm"),
    Column("minutes", "Rest that is left after cleaning", unit="min"),
    Column("residual_dof", "Degrees of freedom that cleaning leaves of it"),
)
PART_COLUMNS = (
    Column("part", "All places, those of a tissue, or half of the participants by typicality"),
    Column("places", "How many places the maps have there; n/a: all"),
    Column("people", "Participants"),
    _mean("r", "Correlation over places of a predicted with a measured map"),
    _mean("r_minus_group_average", "r minus that of the group average", "r minus group average"),
    _mean("index", _MINUS_ANOTHER, "r minus another person's (index)"),
    _mean("residual_r", "r of deviations from the means over the test participants"),
    Column("identification", _IDENTIFIED, "identified", interval=_WILSON),
    Column("ceiling", "Mean over contrasts of the r of a prediction of the true maps"),
    Column("residual_ceiling", "The same of residual r"),
)
TEST_COLUMNS = (
    _CONTRAST,
    Column("score", "Score that is compared"),
    Column("against", "Model that it is compared with"),
    _PEOPLE,
    Column("model", "Mean score of the model"),
    Column("other", "Mean score of the other model"),
    _DIFFERENCE,
    _DELTA,
    _P,
    Column("q", "p adjusted for all rows (false discovery rate)"),
)
