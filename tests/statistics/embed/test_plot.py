"""The plot of an embedding as a person meets it: chosen, hovered, driven by keys, on any screen."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from browser import chromium, opened

from bids_dtg.report.pages.analysis import AnalysisPageFacts, PageSection
from bids_dtg.statistics.embed.plot import (
    EmbeddingPlot,
    PageCloud,
    PageColumn,
    PageContrast,
    PagePerson,
    write_embedding_page,
)

pytest.importorskip("jinja2", reason="reports need the extra [report]")
pytest.importorskip("PIL", reason="reports need the extra [report]")

EVIL = "</script><script>hacked()</script><img src=x onerror=hacked()>"


def example(people: int = 12, contrasts: int = 3) -> EmbeddingPlot:
    rng = np.random.default_rng(0)
    points = np.tile(np.arange(people), contrasts)
    of = np.repeat(np.arange(contrasts), people)
    scores = rng.standard_normal((people * contrasts, 2)) + 6 * np.column_stack([of, of % 2])
    axes = {f"PC {n + 1}": scores[:, n] for n in range(2)}
    own = {name: values[:people] for name, values in axes.items()}
    return EmbeddingPlot(
        [PagePerson(f"sub-{n:02d}", f"sub-{n:02d}.html", n == 3) for n in range(people)],
        [
            PageColumn("age", [20.0 + n if n else None for n in range(people)]),
            PageColumn("sex", [n % 2 for n in range(people)], ("F", "M")),
        ],
        [PageContrast(f"contrast{n}", "AB"[n % 2]) for n in range(contrasts)],
        [
            PageCloud("each map", "predicted maps", "All maps.", points, axes, of),
            PageCloud("people", "edges", "All people.", np.arange(people), own),
        ],
    )


def page_of(tmp_path, plot: EmbeddingPlot):
    facts = AnalysisPageFacts("Embedding", "An answer.", [], [PageSection("Who", ["Some text."])])
    path = tmp_path / "page.html"
    assert write_embedding_page(path, facts, plot) is None
    return path


def data_of(page: str) -> dict:
    found = re.search(r'id="embedding-data">(.*?)</script>', page, re.DOTALL)
    return json.loads(found[1])


def test_names_of_other_people_are_text(tmp_path):
    plot = example()
    plot = replace(
        plot,
        people=[PagePerson(EVIL, None, False), *plot.people[1:]],
        columns=[PageColumn(EVIL, [0] * 12, (EVIL,))],
        contrasts=[PageContrast(EVIL, EVIL), *plot.contrasts[1:]],
        clouds=[replace(plot.clouds[0], name=EVIL, source="right\u202eto left", about=EVIL)],
    )
    page = page_of(tmp_path, plot).read_text()
    assert "<script>hacked" not in page
    assert "<img src=x" not in page
    data = data_of(page)
    assert data["people"][0]["name"] == EVIL
    assert data["clouds"][0]["source"] == "right\\u202eto left"


def test_of_very_many_points_some_are_shown_and_counted(tmp_path):
    page = page_of(tmp_path, example(people=3000, contrasts=2)).read_text()
    (cloud, people) = data_of(page)["clouds"]
    assert len(cloud["people"]) == len(cloud["axes"][0]["values"]) == 4000
    assert cloud["about"].endswith("2000 further points are in the tables.")
    assert len(people["people"]) == 3000


def test_an_axis_of_another_length_is_refused(tmp_path):
    plot = example()
    short = replace(plot.clouds[0], axes={"PC 1": np.zeros(3)})
    with pytest.raises(ValueError, match="the axis PC 1 has 3 values of 36 points"):
        page_of(tmp_path, replace(plot, clouds=[short]))


def test_the_other_sections_follow_the_plot(tmp_path):
    page = page_of(tmp_path, example()).read_text()
    assert page.index('id="points"') < page.index(">Who</h2>")
    assert '<a href="#points">Points</a>' in page


@pytest.fixture(scope="module")
def browser():
    with chromium() as started:
        yield started


@pytest.mark.flaky(reruns=1)  # waits for a browser
@pytest.mark.slow
def test_points_are_coloured_named_and_reached_by_keys(tmp_path, browser):
    path = page_of(tmp_path, example())
    (tmp_path / "sub-11.html").write_text("The report")
    with opened(browser, path, viewport={"width": 1100, "height": 900}) as watched:
        page = watched.page
        points = page.locator("svg.plot .point")
        assert points.count() == 36
        assert page.locator("[data-part=legend] button").all_text_contents() == ["A", "B"]
        page.locator("[data-part=legend] button").first.click()
        assert page.locator("svg.plot .point.faded").count() == 12
        page.select_option("[data-part=cloud]", index=1)
        assert points.count() == 12
        assert page.locator("svg.plot .unusual").count() == 1
        page.select_option("[data-part=colour]", label="age")
        assert "grey: n/a" in page.locator("[data-part=legend]").inner_text()
        page.locator("svg.plot").focus()
        page.keyboard.press("Home")
        assert page.locator("[data-part=tip] strong").inner_text() == "sub-00"
        page.keyboard.press("End")
        assert "sub-11" in page.locator("[data-part=details]").inner_text()
        assert "age: 31" in page.locator("[data-part=details]").inner_text()
        page.keyboard.press("ArrowLeft")
        assert "sub-11" not in page.locator("[data-part=tip] strong").inner_text()
        page.keyboard.press("End")
        watched.check()
        page.keyboard.press("Enter")
        page.wait_for_url("**/sub-11.html", wait_until="commit")


@pytest.mark.flaky(reruns=1)  # waits for a browser
@pytest.mark.slow
def test_a_pointer_reads_a_point_and_a_finger_does_not_leave_the_page(tmp_path, browser):
    path = page_of(tmp_path, example())
    with opened(
        browser, path, viewport={"width": 375, "height": 800}, has_touch=True, is_mobile=True
    ) as watched:
        page = watched.page
        page.select_option("[data-part=cloud]", index=1)
        page.locator("svg.plot").scroll_into_view_if_needed()
        box = page.locator("svg.plot .point").nth(5).bounding_box()
        page.touchscreen.tap(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        page.wait_for_timeout(300)
        assert page.url == path.as_uri()
        assert page.locator("[data-part=details] a").get_attribute("href").startswith("sub-")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        watched.check()


@pytest.mark.flaky(reruns=1)  # waits for a browser
@pytest.mark.slow
def test_a_name_that_is_markup_is_read_and_not_run(tmp_path, browser):
    plot = example()
    plot = replace(plot, people=[PagePerson(EVIL, None, True), *plot.people[1:]])
    with opened(browser, page_of(tmp_path, plot)) as watched:
        page = watched.page
        page.select_option("[data-part=cloud]", index=1)
        page.locator("svg.plot").focus()
        page.keyboard.press("Home")
        assert page.locator("[data-part=tip] strong").inner_text() == EVIL
        assert page.locator("[data-part=details] a").count() == 0
        watched.check()
