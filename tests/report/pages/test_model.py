from __future__ import annotations

import base64
import io
import re
from dataclasses import replace

import numpy as np
import pytest
from browser import chromium, opened

from bids_dtg.report.pages.model import ModelPageFacts, write_model_page

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
