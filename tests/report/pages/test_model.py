from __future__ import annotations

import base64
import io
import re
from dataclasses import replace

import numpy as np
import pytest
from browser import chromium, opened

from bids_dtg.report.pages.model import ModelPageFacts, figure, verdicts, write_model_page

pytest.importorskip("jinja2", reason="reports need the extra [report]")
pytest.importorskip("PIL", reason="reports need the extra [report]")

NAMES = ("group average", "model", "retest")
OWN = np.array([[0.5, 0.4, 0.4], [0.1, 0.2, 0.1], [0.3, 0.3, 0.4]])
FACTS = ModelPageFacts(
    title="model-own",
    lead="three people",
    conventions="as they are",
    rows=[
        {"model": "group average", "r": [0.5, 0.4, 0.6]},
        {"model": "model", "r": [-0.0001, -0.1, 0.1], "ratio": None},
        {"model": "retest", "r": [0.6, 0.5, 0.7]},
    ],
    contrasts=["wm2bk", "motorT"],
    r={name: np.array([0.5, np.nan if name == "retest" else 0.0]) for name in NAMES},
    matrices={"model": OWN, "retest": np.full((3, 3), np.nan)},
    people=3,
    judged="model",
    paired=[{"model": "group average", "r": [-0.5, -0.6, -0.4]}],
)

WORSE, LEVEL, BETTER = [-0.2, -0.3, -0.1], [0.0, -0.1, 0.1], [0.02, 0.01, 0.03]


def page_of(tmp_path, facts: ModelPageFacts) -> str:
    assert write_model_page(tmp_path / "report.html", facts) is None
    return (tmp_path / "report.html").read_text("utf-8")


def pictures(page: str) -> list[np.ndarray]:
    from PIL import Image

    found = re.findall(r'src="data:image/webp;base64,([^"]+)"', page)
    return [
        np.asarray(Image.open(io.BytesIO(base64.b64decode(one))).convert("RGB")) for one in found
    ]


def test_the_page_says_that_the_group_average_wins(tmp_path):
    assert "In r, model is worse than group average (\u22120.500" in page_of(tmp_path, FACTS)


def test_no_dot_hides_another_and_the_judged_model_is_drawn_last(tmp_path):
    page = page_of(tmp_path, FACTS)
    dots = re.findall(
        r'<circle cx="([\d.]+)" cy="([-\d.]+)" r="([\d.]+)"[^>]*><title>([^<]*)', page
    )
    # Three models know the first contrast, two the second.
    assert len(dots) == 5
    assert len({(x, y) for x, y, _, _ in dots}) == 5
    first = [told for _, _, _, told in dots if told.startswith("wm2bk")]
    assert first[-1] == "wm2bk, model: 0.500"


def test_a_matrix_is_drawn_as_it_is_and_less_the_mean_of_its_rows(tmp_path):
    raw, away, unknown, _ = pictures(page_of(tmp_path, FACTS))
    assert (raw[0, 0] != raw[2, 2]).any()
    # Two thirds of a row's surplus: above the mean of the row is red, below it blue.
    assert away[0, 0, 0] > away[0, 0, 2]
    assert away[0, 1, 0] < away[0, 1, 2]
    # What is not known is neither high nor low.
    assert np.ptp(unknown.reshape(-1, 3), axis=0).max() == 0
    assert np.ptp(unknown[0, 0].astype(int)) < 12


def test_sorting_goes_by_figures_that_have_a_plain_minus_sign(tmp_path):
    page = page_of(tmp_path, FACTS)
    assert 'data-value="-0.0001">0.000' in page
    assert "-0.1" not in page.replace('data-value="-0.1', "").split("<table")[1].split("</table")[0]


def test_a_page_without_people_or_scores_is_made(tmp_path):
    page = page_of(tmp_path, replace(FACTS, matrices={}, paired=(), people=20))
    assert 'id="people"' not in page


def test_a_learning_curve_has_its_ends_as_figures(tmp_path):
    history = [{"loss": value} for value in (2.0, 1.0, 1.5)]
    page = page_of(tmp_path, replace(FACTS, history=history))
    assert "training loss: 2.0000 to 1.5000" in page
    assert [f">{text}<" in page for text in ("2.0000", "1.0000", "3")] == [True] * 3
    assert "M0.0 0.0 L220.0 80.0 L440.0 40.0" in page


@pytest.mark.slow
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_fits_and_its_table_is_sorted_by_figures(tmp_path, theme, width):
    history = [{"loss": value} for value in (2.0, 1.0)]
    page_of(tmp_path, replace(FACTS, history=history))
    options = {"viewport": {"width": width, "height": 900}, "color_scheme": theme}
    with (
        chromium() as browser,
        opened(browser, tmp_path / "report.html", **options) as watched,
    ):
        page = watched.page
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.locator("#scores th:nth-child(2) button").click()
        cells = page.locator("#scores tbody tr td:first-child").all_inner_texts()
        assert cells == ["model", "group average", "retest"]  # by r, which a minus sign would end
        watched.check()


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
