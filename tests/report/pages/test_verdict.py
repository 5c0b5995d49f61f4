from __future__ import annotations

from bids_dtg.report.pages.verdict import figure, verdicts

WORSE, LEVEL, BETTER = [-0.2, -0.3, -0.1], [0.0, -0.1, 0.1], [0.02, 0.01, 0.03]


def test_a_simple_model_that_wins_is_a_warning_with_its_figures():
    paired = [
        {"model": "group average", "r": WORSE},
        {"model": "kernel ridge", "r": BETTER},
        {"model": "linear (Tavor)", "r": LEVEL},
    ]
    (flag,) = verdicts("model", paired, 40)
    assert flag.level == "warning"
    assert flag.text == (
        "In r, model is worse than "
        "group average (\u22120.200, 95 % from \u22120.300 to \u22120.100); "
        "not to be told from linear (Tavor) (0.000, 95 % from \u22120.100 to 0.100); "
        "better than kernel ridge (0.020, 95 % from 0.010 to 0.030)"
    )


def test_only_a_model_that_beats_all_is_good_and_a_tie_is_none():
    both = [{"model": "a", "r": BETTER}, {"model": "b", "r": BETTER}]
    assert [flag.level for flag in verdicts("model", both, 40)] == ["good"]
    both[1]["r"] = LEVEL
    assert [flag.level for flag in verdicts("model", both, 40)] == ["note"]


def test_a_residual_r_that_is_too_high_is_explained_where_it_wins():
    paired = [{"model": "linear (Tavor)", "residual_r": WORSE}]
    assert "is too high" in verdicts("model", paired, 40)[1].text
    paired = [{"model": "linear (Tavor)", "residual_r": BETTER}]
    assert len(verdicts("model", paired, 40)) == 1


def test_few_people_are_told_and_unknown_scores_left_out():
    paired = [{"model": "group average", "r": [None, None, None]}]
    (flag,) = verdicts("model", paired, 4)
    assert flag.text == "Intervals over 4 people are too narrow"


def test_no_figure_has_a_sign_before_zero():
    assert [figure(x) for x in (-0.0001, 0.0001, -0.0006)] == ["0.000", "0.000", "\u22120.001"]


def test_a_small_difference_that_is_sure_shows_its_sign():
    paired = [{"model": "group average", "r": [-0.0004, -0.0009, -0.0001]}]
    (flag,) = verdicts("m", paired, 40)
    assert "(\u22120.0004, 95 % from \u22120.0009 to \u22120.0001)" in flag.text
