from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from browser import chromium, opened

from bids_dtg.report.figures import curves, lines, matrices, scatter, spectra
from bids_dtg.report.page import FOLDER, Page, Section, load_template
from bids_dtg.report.tables import Table
from bids_dtg.workflows import all_workflows

EVIL = "<script>alert('region')</script>"
BETTER = (
    "VAR(1) per participant",
    "Mean FC of the other participants",
    "Retest (REST2)",
)
RNG = np.random.default_rng(0)


def fc_table(better=BETTER) -> Table:
    means = {"Model": 0.531, "No input": 0.004, **dict.fromkeys(BETTER, 0.9)}
    return Table(
        "Fit of simulated FC: Pearson r over 2,278 pairs of regions",
        ("Simulation", "REST1", "REST2", "participants"),
        [(name, (r, r - 0.012, r + 0.012), (r, r, r), 40) for name, r in means.items()],
        notes=("VAR(1) has the FC of its own session by construction.",),
        model=next(iter(means)),
        better=[(name, "REST1") for name in better],
    )


def losses(epochs=300):
    """Return the curves of three trainings; the second breaks off."""
    series = {
        f"restart {n}": 2000 + 26000 * np.exp(-np.arange(epochs) / (6 + n))
        for n in range(3)
    }
    series["restart 1"][180:] = np.nan
    return curves(
        "Training loss a series, by restart.", "epoch", "negative ELBO (nats)", series
    )


def mean_fc(ends=None):
    fc = np.corrcoef(RNG.normal(size=(68, 200)) + RNG.normal(size=200))
    gaps = np.where(RNG.uniform(size=fc.shape) > 0.02, fc, np.nan)
    return matrices(
        "Mean FC.", {"Measured": fc, "Simulated": 0.7 * fc, "VAR(1)": gaps}, ends
    )


def whole_page() -> tuple[Section, ...]:
    """Return sections of realistic size, with each kind of table and chart."""
    frequency = np.fft.rfftfreq(128, 0.72)
    power = 1 / (0.02 + frequency**2) / 10
    measured = (0.6 * power, power, 1.6 * power)
    powers = {"measured": measured, "simulated": tuple(1.3 * part for part in measured)}
    points = np.stack([values := RNG.normal(-0.2, 0.3, 120), 0.8 * values], axis=1)
    groups = np.repeat(["G = 0.1", "G = 0.5", "G = 0.9"], 40).tolist()
    true, recovered = "true a", "recovered a"
    charts = (
        spectra("Power spectra: median over pairs, with quartiles.", frequency, powers),
        scatter(
            "Bifurcation parameter",
            true,
            recovered,
            points,
            groups=groups,
            identity=True,
        ),
        scatter("Bifurcation parameter", true, recovered, points),
        losses(),
    )
    fc = Section("Functional connectivity", tables=(fc_table(),), figures=(mean_fc(),))
    return fc, Section("Checks", ("Three restarts.",), figures=charts)


def page_of(tmp_path, *sections: Section, **changes) -> str:
    facts = {"title": "evaluate", "lead": "Trained on REST1.", "flags": ()}
    Page(**facts | changes, sections=sections or whole_page()).write(
        tmp_path / "page.html"
    )
    return (tmp_path / "page.html").read_text("utf-8")


def rows_of(page: str) -> dict[str, list[str]]:
    """Return the text of the cells of each row, by the row's name."""
    cells_of_rows = re.findall(r'<th scope="row">(.*?)</th>(.*?)</tr>', page, re.DOTALL)
    return {
        name: [
            re.sub("<[^>]+>", " ", cell).split("  ")
            for cell in re.findall("<td.*?</td>", cells)
        ]
        for name, cells in cells_of_rows
    }


def charts_of(page: str) -> list[ElementTree.Element]:
    charts = re.findall(r'<div class="chart xy".*?</div>', page, re.DOTALL)
    return [ElementTree.fromstring(chart) for chart in charts]


def test_what_is_judged_better_is_marked_and_nothing_else_whatever_the_means(tmp_path):
    page = page_of(tmp_path, Section("FC", tables=(fc_table(),)))
    rows = rows_of(page)
    assert list(rows) == [row[0] for row in fc_table().rows]
    marked = {
        name for name, cells in rows.items() if "better than the model" in str(cells[0])
    }
    assert marked == set(BETTER)
    assert "the model" not in str([cells[1:] for cells in rows.values()])
    unjudged = page_of(tmp_path, Section("FC", tables=(fc_table(better=()),)))
    assert "better than the model" not in str(rows_of(unjudged))


def test_numbers_of_a_column_have_the_same_decimals_and_counts_have_none(tmp_path):
    rows = [
        ("a", 0.5, 40, "word"),
        ("b", (0.25, 0.1, 0.4), 6120, None),
        ("c", float("nan"), 1, ""),
    ]
    table = Table("Caption", ("Name", "score", "people", "words"), rows)
    page = page_of(tmp_path, Section("Scores", tables=(table,)))
    texts = {
        name: [" ".join(map(str, cell)).split() for cell in cells]
        for name, cells in rows_of(page).items()
    }
    assert texts == {
        "a": [["0.500"], ["40"], ["word"]],
        "b": [["0.250", "0.100", "to", "0.400"], ["6,120"], ["n/a"]],
        "c": [["n/a"], ["1"], []],
    }


def test_whatever_has_a_name_is_escaped(tmp_path):
    values = np.arange(3.0)
    section = Section(
        EVIL,
        (EVIL,),
        (Table(EVIL, (EVIL, EVIL), [(EVIL, EVIL), (f"{EVIL} 2", 1.0)], notes=(EVIL,)),),
        (
            curves(EVIL, EVIL, EVIL, {EVIL: values}),
            matrices(EVIL, {EVIL: np.eye(3)}),
            spectra(EVIL, values, {EVIL: (values, values, values)}),
            scatter(EVIL, EVIL, EVIL, np.ones((2, 2)), groups=(EVIL, "other")),
        ),
    )
    page = page_of(tmp_path, section, title=EVIL, lead=EVIL)
    assert "<script>alert" not in page
    assert page.count("&lt;script&gt;alert") > 20


def test_what_is_empty_is_left_out(tmp_path):
    assert Table("No rows", ("Name", "score"), []).body == []
    section = Section(
        "Nothing",
        tables=(Table("No rows", ("Name", "score"), []),),
        figures=(
            curves("No curve", "x", "y", {}),
            curves("NaN", "x", "y", {"a": np.full(3, np.nan)}),
            matrices("No matrix", {}),
            matrices("NaN", {"a": np.full((2, 2), np.nan)}),
            spectra("No spectrum", np.arange(3), {}),
            scatter("No point", "x", "y", np.empty((0, 2))),
        ),
    )
    page = page_of(tmp_path, section, Section("Words", ("A sentence.",)))
    assert "Nothing" not in page
    assert "A sentence." in page
    assert re.findall('href="(#section-[0-9]+)"', page) == ["#section-2"]
    assert 'id="section-2"' in page


@pytest.mark.parametrize(
    "values",
    [
        [np.nan, 2.0, np.nan, 2.0, 3.0],
        [np.inf, 1.0],
        pytest.param([1.0] * 9, marks=pytest.mark.slow),
        pytest.param([0.0], marks=pytest.mark.slow),
        pytest.param([-1e9, 1e9], marks=pytest.mark.slow),
        pytest.param([1e-12] * 2, marks=pytest.mark.slow),
    ],
)
def test_charts_are_finite_whatever_the_values(tmp_path, values):
    values = np.array(values)
    section = Section(
        "All",
        figures=(
            curves("c", "epoch", "loss", {"a": values, "b": values[:1]}),
            spectra(
                "s", np.arange(len(values)), {"a": (values / 2, values, 2 * values)}
            ),
            scatter("p", "x", "y", np.stack([values, values], axis=1), identity=True),
            scatter("p", "x", "y", np.stack([values, np.zeros_like(values)], axis=1)),
            matrices("m", {"a": np.outer(values, values)}),
        ),
    )
    page = page_of(tmp_path, section)
    charts = charts_of(page)
    assert len(charts) >= 3
    for chart in charts:
        assert not re.search(
            r"[\"ml ](nan|-?inf)", ElementTree.tostring(chart, "unicode").lower()
        )


def test_a_gap_breaks_the_line_and_a_lone_value_is_a_dot(tmp_path):
    values = np.array([1.0, np.nan, 2.0, 3.0])
    page = page_of(
        tmp_path, Section("C", figures=(curves("c", "x", "y", {"a": values}),))
    )
    (line,) = re.findall(
        r'<path d="([^"]*)"[^>]*style="fill: none; stroke: var\(--series-1\)', page
    )[:1]
    assert re.fullmatch(r"(M [\d.]+ [\d.]+\s+){2}L [\d.]+ [\d.]+\s+", line)
    assert len(re.findall(r'<use [^>]*style="fill: var\(--series-1\)', page)) == 1


def test_lines_have_their_own_places_along_x_and_captions_end_before_notes(tmp_path):
    x, y = np.array([0.0, 0.3, np.nan, 0.1]), np.array([0.0, 1.0, np.nan, 0.5])
    section = Section(
        "C",
        figures=(
            lines("Traces", "s", "share", {"own": (x, y)}),
            scatter("People", "x", "y", np.eye(2), identity=True),
        ),
    )
    page = page_of(tmp_path, section)
    assert "share by s; own: from 0 to 0.5" in page
    assert "People. Dashed: line of identity." in page


def test_each_series_keeps_its_style_where_another_has_no_values(tmp_path):
    series = {"none": np.full(3, np.nan), "some": np.arange(3.0)}
    page = page_of(tmp_path, Section("C", figures=(curves("c", "x", "y", series),)))
    (chart,) = charts_of(page)
    drawn = ElementTree.tostring(chart, "unicode")
    assert "var(--series-2)" in drawn
    assert "var(--series-1)" not in drawn


def test_points_without_a_value_are_counted(tmp_path):
    points = np.array([[0.0, 1.0], [np.nan, 1.0], [2.0, 3.0]])
    page = page_of(tmp_path, Section("S", figures=(scatter("c", "x", "y", points),)))
    assert "Not shown: 1 point without a value." in page


@pytest.mark.slow
def test_charts_and_heat_maps_are_told_in_words(tmp_path):
    page = page_of(tmp_path)
    assert all(chart.attrib["aria-label"] for chart in charts_of(page))
    assert len(charts_of(page)) == 4
    assert all(
        "68 by 68, off the diagonal from" in alt
        for alt in re.findall('alt="(.*?)"', page)
    )


def test_a_scale_says_where_values_lie_beyond_it(tmp_path):
    ends = (
        r'class="scale" style="margin: 0">\s<span>(.*?)</span>\s.*\s<span>(.*?)</span>'
    )
    (free,) = re.findall(ends, page_of(tmp_path, Section("M", figures=(mean_fc(),))))
    assert free == ("0", "\u2265\u00a00.8")
    figure = mean_fc(ends=(-2.0, 2.0))
    assert re.findall(ends, page_of(tmp_path, Section("M", figures=(figure,)))) == [
        ("\u22122", "2")
    ]


@pytest.mark.flaky(reruns=1)  # waits for a browser
@pytest.mark.slow
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1200])
def test_the_page_fits_asks_for_nothing_and_no_texts_of_a_chart_touch(
    tmp_path, theme, width
):
    page_of(tmp_path)
    options = {"viewport": {"width": width, "height": 900}, "color_scheme": theme}
    with (
        chromium() as browser,
        opened(browser, tmp_path / "page.html", **options) as watched,
    ):
        page = watched.page
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        boxes = page.evaluate(
            """[...document.querySelectorAll('.chart.xy')].map(chart =>
            [...chart.querySelectorAll('text')].map(text => {
                const box = text.getBoundingClientRect();
                return [box.left, box.right, box.top, box.bottom, text.textContent];
            }))"""
        )
        assert len(boxes) == 4
        for texts in boxes:
            for number, (left, right, top, bottom, text) in enumerate(texts):
                assert left >= 0, text
                assert right <= width, text
                for second_text in texts[number + 1 :]:
                    apart = left >= second_text[1] or second_text[0] >= right
                    # The boxes of lines of text share their edges.
                    apart = (
                        apart
                        or top >= second_text[3] - 4
                        or second_text[2] >= bottom - 4
                    )
                    assert apart, (text, second_text[4])
        watched.check()


@pytest.mark.flaky(reruns=1)  # waits for a browser
@pytest.mark.slow
def test_words_of_a_table_stay_whole_on_a_phone_and_scroll(tmp_path):
    words = (
        "measured maps",
        "edges of the connectome",
        "7Networks_RH_SalVentAttn_Med_7",
    )
    columns = (
        "contrast",
        "region",
        "peak, mm",
        "features",
        *(f"figure {n}" for n in range(8)),
    )
    rows = [("emotionFaces", name, "-48, -66, -32", name, *range(8)) for name in words]
    page_of(tmp_path, Section("Words", tables=[Table("Words", columns, rows)]))
    options = {"viewport": {"width": 390, "height": 900}}
    with (
        chromium() as browser,
        opened(browser, tmp_path / "page.html", **options) as watched,
    ):
        lines = watched.page.evaluate(
            """[...document.querySelectorAll('td:not(.number)')].map(cell => {
                const range = document.createRange();
                range.selectNodeContents(cell);
                return new Set([...range.getClientRects()].map(box => box.top)).size;
            })"""
        )
        assert len(lines) == 9
        assert max(lines) <= 3
        box = "document.querySelector('.wide')"
        assert watched.page.evaluate(f"{box}.scrollWidth > {box}.clientWidth")
        assert watched.page.evaluate("document.documentElement.scrollWidth") <= 390
        watched.check()


def test_every_template_is_found_through_a_workflows_row():
    room_pages = [*FOLDER.parent.glob("*/pages/*.html")]
    rooms = {room for workflow in all_workflows() for room in workflow.pages}
    assert rooms == {path.parents[1].name for path in room_pages}
    for path in room_pages:
        load_template(f"{path.parents[1].name}/{path.name}")
    for path in (FOLDER / "templates").glob("*.html"):
        load_template(path.name)
