from __future__ import annotations

import base64
import io
import re
from dataclasses import replace

import numpy as np
import pytest
from browser import chromium, opened

from bids_dtg.contrasts.analyses.page import ModelPageFacts, verdicts, write_model_page
from bids_dtg.contrasts.judging.ceilings import Ceilings

pytest.importorskip("jinja2", reason="reports need the extra [report]")
pytest.importorskip("PIL", reason="reports need the extra [report]")

NAMES = ("group average", "model", "retest")
OWN = np.array([[0.5, 0.4, 0.4], [0.1, 0.2, 0.1], [0.3, 0.3, 0.4]])
FACTS = ModelPageFacts(
    title="model-own",
    lead="three people",
    definitions={"r": "as it is"},
    rows=[
        {"model": "group average", "r": [0.5, 0.4, 0.6]},
        {"model": "model", "r": [-0.0001, -0.1, 0.1], "ratio": None},
        {"model": "retest", "r": [0.6, 0.5, 0.7]},
    ],
    contrasts=["wm2bk", "motorT"],
    r={name: np.array([0.5, np.nan if name == "retest" else 0.0]) for name in NAMES},
    matrices={"model": OWN, "retest": np.full((3, 3), np.nan)},
    judged="model",
    comparisons=[],
    fitted_on=20,
)

FIGURES = {"worse": [-0.2, -0.3, -0.1], "interval holds 0": [0.0, -0.1, 0.1]}


def compared(against, verdict, score="r", question=None, **more):
    return {
        "question": question,
        "score": score,
        "against": against,
        "people": 40,
        "difference": FIGURES.get(verdict, [0.02, 0.01, 0.03]),
        "p": 0.00012,
        "verdict": verdict,
        **more,
    }


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
    facts = replace(FACTS, comparisons=[compared("group average", "worse")])
    assert "In r, model is worse than group average (\u22120.200" in page_of(tmp_path, facts)


def test_ceilings_are_marked_and_where_there_are_none_the_reason_stands(tmp_path):
    nobody = page_of(tmp_path, FACTS)
    assert "Noise ceiling n/a: nobody has a second session of measured maps." in nobody
    assert "noise ceiling</title>" not in nobody
    r = np.array([[0.64] * 9, [np.nan] * 9])
    page = page_of(tmp_path, replace(FACTS, ceilings=Ceilings(r, r - 0.39)))
    assert page.count("noise ceiling</title>") == 1
    assert "of 9 participants whose maps were measured twice" in page
    assert "Mean over contrasts 0.800; of residual r 0.500" in page
    assert "So few people determine it badly" not in page
    alone = page_of(tmp_path, replace(FACTS, ceilings=Ceilings(r[:, :1], r[:, :1] * np.nan)))
    assert "of residual r n/a. So few people determine it badly." in alone


def test_parts_are_a_table(tmp_path):
    parts = [{"part": "cerebellum", "people": 12, "places": 300, "r": [0.4, 0.3, 0.5]}]
    page = page_of(tmp_path, replace(FACTS, parts=parts))
    assert 'data-value="300">300<' in page


def test_no_dot_hides_another_and_the_judged_model_is_drawn_last(tmp_path):
    page = page_of(tmp_path, FACTS)
    dots = re.findall(
        r'<circle cx="([\d.]+)" cy="([-\d.]+)" r="([\d.]+)"[^>]*><title>([^<]*)', page
    )
    # Three models know the first contrast, two the second.
    assert len(dots) == 5
    assert len({(x, y) for x, y, _, _ in dots}) == 5
    first = [reported for _, _, _, reported in dots if reported.startswith("wm2bk")]
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


def test_rounding_of_one_map_for_everybody_is_no_pattern(tmp_path):
    same = np.full((3, 3), 0.7) + 1e-15 * np.eye(3)
    _, away = pictures(page_of(tmp_path, replace(FACTS, matrices={"group average": same})))
    assert np.ptp(away.reshape(-1, 3), axis=0).max() == 0


def test_differences_that_are_of_no_use_are_pale(tmp_path):
    tiny = np.full((3, 3), 0.7) + 1e-6 * np.eye(3)
    page = page_of(tmp_path, replace(FACTS, matrices={"model": tiny}))
    _, away = pictures(page)
    assert np.ptp(away.reshape(-1, 3).astype(int), axis=0).max() < 3
    assert "0.02</span>" in page
    assert "the verdicts above say whether that is more than chance" in page


def test_sorting_goes_by_figures_that_have_a_plain_minus_sign(tmp_path):
    page = page_of(tmp_path, FACTS)
    assert 'data-value="-0.0001">0.000' in page
    assert "-0.1" not in page.replace('data-value="-0.1', "").split("<table")[1].split("</table")[0]


def test_a_page_without_people_or_scores_is_made(tmp_path):
    page = page_of(tmp_path, replace(FACTS, matrices={}))
    assert 'id="people"' not in page


def test_a_learning_curve_has_its_ends_as_figures(tmp_path):
    history = [{"loss": value} for value in (2.0, 1.0, 1.5)]
    page = page_of(tmp_path, replace(FACTS, history=history))
    assert "training loss: 2.0000 to 1.5000" in page
    assert [f">{text}<" in page for text in ("2.0000", "1.0000", "3")] == [True] * 3
    assert "M0.0 0.0 L220.0 80.0 L440.0 40.0" in page


@pytest.mark.flaky(reruns=1)  # waits for a browser
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


@pytest.mark.parametrize(
    ("verdict", "level", "words"),
    [
        ("better", "good", ("Individual: ", "Worth using: ")),
        (
            "interval holds 0",
            "warning",
            ("Not shown to be individual: ", "Not shown to be worth using: "),
        ),
        ("worse", "warning", ("Not individual: ", "Not worth using: ")),
    ],
)
def test_the_two_questions_come_first_and_alone_are_good(verdict, level, words):
    rows = [
        compared("another person's prediction", verdict, question="individual"),
        compared("own mean prediction", verdict, question="worth using"),
        compared("group average", "better"),
    ]
    flags = verdicts("model", rows, 40)
    last = ["note"] if verdict == "better" else ["note", "note"]  # the second: a mean map is enough
    assert [flag.level for flag in flags] == [level, level, *last]
    assert all(flag.text.startswith(text) for flag, text in zip(flags, words, strict=False))
    assert "p\u00a0<\u00a00.001" in flags[0].text


def test_a_simple_model_that_wins_is_a_warning_with_its_figures():
    rows = [
        compared("group average", "worse", p=0.0123),
        compared("before tuning", "better"),
        compared("linear (Tavor)", "interval holds 0", p=0.5),
    ]
    (flag,) = verdicts("model", rows, 40)
    assert flag.level == "warning"
    assert flag.text == (
        "In r, model is worse than "
        "group average (\u22120.200, 95 % from \u22120.300 to \u22120.100, p\u00a00.012); "
        "neither better nor worse than linear (Tavor) "
        "(0.000, 95 % from \u22120.100 to 0.100, p\u00a00.500: interval holds 0); "
        "better than before tuning (0.020, 95 % from 0.010 to 0.030, p\u00a0<\u00a00.001)"
    )


def test_to_be_above_the_average_of_few_others_is_not_praised():
    first, second = verdicts("model", [compared("group average", "above, no verdict")], 9)
    assert (first.level, second.level) == ("note", "note")
    assert "above, without a verdict, group average (0.020" in first.text
    assert "better" not in first.text + second.text
    assert "fitted on 9 people: an average of few is weak" in second.text
    better = compared("group average", "better")
    assert "an average of few is weak" in verdicts("model", [better], 9)[-1].text
    assert len(verdicts("model", [better], 300)) == 1


@pytest.mark.parametrize("verdict", ["better", "interval holds 0", "worse"])
def test_who_is_above_simple_models_by_its_mean_map_alone_is_not_praised(verdict):
    rows = [
        compared("own mean prediction", verdict, question="worth using"),
        compared("linear (Tavor)", "better"),
    ]
    texts = [flag.text for flag in verdicts("model", rows, 100)]
    assert any("no prediction of persons" in text for text in texts) == (verdict != "better")


def test_few_people_give_no_verdict_at_all():
    rows = [compared("group average", "too few people", people=3, question="individual")]
    (flag,) = verdicts("model", rows, 3)
    assert flag.level == "note"
    assert flag.text.startswith("No verdict with 3 participants (8 are needed): differences")


def test_a_mean_without_an_interval_is_shown(tmp_path):
    rows = [{"model": "model", "r": [0.25, None, None]}]
    assert ">0.250<" in page_of(tmp_path, replace(FACTS, rows=rows))


def test_a_small_difference_that_is_sure_shows_its_sign():
    figures = [-0.0004, -0.0009, -0.0001]
    (flag,) = verdicts("m", [compared("group average", "worse", difference=figures)], 40)
    assert (
        "(\u22120.0004, 95 % from \u22120.0009 to \u22120.0001, p\u00a0<\u00a00.001)" in flag.text
    )
