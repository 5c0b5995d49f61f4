"""The pages as users open them: as local files, in a browser without a network."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from browser import chromium, opened
from cifti_people import write_xcpd_parcels
from maps_bundle import with_half_widths
from maps_job import TinyJob, add_rest

from bids_dtg import load_bundle
from bids_dtg.cli.run import main
from bids_dtg.contrasts.panels.group_page import MeanMapFiles, write_group_page
from bids_dtg.files.derivatives import DerivativeDataset
from bids_dtg.files.provenance import Failure
from bids_dtg.report.flags import Flag, flag_counts
from bids_dtg.report.participant import write_index

pytestmark = pytest.mark.slow

# No slash and no underscore: a name that a folder can have, and that a page must not run.
HOSTILE = '"><img src=x onerror=hacked()>'
SCRIPT = "</script><script>hacked()</script><img src=x onerror=hacked()>"


@pytest.fixture(scope="module")
def browser():
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def out(tmp_path_factory) -> Path:
    """Six participants with two segments of rest each, and a group page."""
    job = TinyJob(tmp_path_factory.mktemp("pages"), ())
    for number in range(1, 7):
        add_rest(
            job.bids, f"{number:02d}", frames=90 - number, seed=number, n_non_steady=2
        )
    job.reports, job.model = (
        True,
        with_half_widths(job.bundle, job.folder / "sure").path,
    )
    assert job.run() == 0
    assert main([str(job.bids), str(job.out), "group"]) == 0
    return job.out


@pytest.fixture(scope="module")
def hostile(out, tmp_path_factory) -> Path:
    """The output with a participant, a task, a contrast and a message that are markup."""
    copy = tmp_path_factory.mktemp("hostile") / "out"
    shutil.copytree(out, copy)
    folder = copy / f"sub-{HOSTILE}"
    (copy / "sub-01").rename(folder)
    shutil.rmtree(folder / "figures")
    for path in [*(folder / "func").iterdir()]:
        named = path.name.replace("sub-01_task-rest", f"sub-{HOSTILE}_task-{HOSTILE}")
        if path.suffix == ".json":
            content = json.loads(path.read_text())
            content |= {"Description": SCRIPT, "Contrast": SCRIPT, "Task": SCRIPT}
            content |= {"ModelNotice": SCRIPT, "ModelName": SCRIPT}
            path.write_text(json.dumps(content))
        if path.name.endswith("_qc.tsv"):
            path.write_text(path.read_text().replace("sub-01", f"sub-{HOSTILE}"))
        path.rename(path.with_name(named))
    table = copy / "logs/20300101T000000Z-000000/failures.tsv"
    table.parent.mkdir()
    table.write_text(
        f"participant_id\taverage\trun\tstage\tmessage\nsub-{HOSTILE}\t{SCRIPT}\tn/a\t{SCRIPT}\t{SCRIPT}\n"
    )
    (copy / "sub-01.html").unlink()
    assert main([str(copy), str(copy), "participant", "--reports-only"]) == 0
    assert main([str(copy), str(copy), "group"]) == 0
    return copy


def picture(page, what: str = ".viewer-canvas") -> np.ndarray:
    from PIL import Image

    data = page.locator(what).screenshot()
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(float)


def colourful(pixels: np.ndarray) -> int:
    """Count pixels that are no grey: those of a map."""
    return int((pixels.max(axis=2) - pixels.min(axis=2) > 60).sum())


def open_map(page, number: int) -> None:
    page.locator(f".map[data-map='{number}']").first.click()
    page.wait_for_selector("dialog.viewer[data-shown]", timeout=60_000)


@pytest.mark.flaky(reruns=1)  # waits for a browser
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_a_page_fits_and_asks_nothing_of_the_network(browser, out, theme, width):
    for name in ("index.html", "sub-01.html", "group.html"):
        options = {"viewport": {"width": width, "height": 900}, "color_scheme": theme}
        with opened(browser, out / name, **options) as watched:
            page = watched.page
            page.wait_for_timeout(300)
            assert page.evaluate("document.documentElement.scrollWidth") <= width, name
            # Texts of charts are readable, however small the charts are drawn.
            sizes = page.evaluate(
                """[...document.querySelectorAll('.chart text')].map(text =>
                parseFloat(getComputedStyle(text).fontSize) * text.getScreenCTM().a)"""
            )
            assert min(sizes, default=9.0) >= 9.0, name
            ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
            assert (ground == "rgb(255, 255, 255)") == (theme == "light")
            broken = (
                "[...document.images].filter(i => i.complete && !i.naturalWidth).length"
            )
            assert page.evaluate(broken) == 0
            watched.check()


@pytest.mark.flaky(reruns=1)  # waits for a browser
def test_a_picture_opens_the_viewer_with_the_right_map(browser, out):
    with opened(
        browser, out / "sub-01.html", viewport={"width": 1280, "height": 900}
    ) as watched:
        page = watched.page
        open_map(page, 1)
        label = page.locator("dialog.viewer").get_attribute("data-shown").split()[0]
        assert (
            page.locator(".map[data-map='1']").last.get_attribute("id")
            == f"map-{label}"
        )
        page.wait_for_timeout(500)
        first = picture(page)
        assert first.std() > 5
        assert colourful(first) > 500
        # Another map is another picture; the same one again is the same.
        page.keyboard.press("ArrowRight")
        page.wait_for_selector(
            f"dialog.viewer[data-shown]:not([data-shown^='{label} '])"
        )
        page.wait_for_timeout(500)
        second = picture(page)
        assert np.abs(first - second).mean() > 0.2
        page.keyboard.press("ArrowLeft")
        page.wait_for_selector(f"dialog.viewer[data-shown^='{label} ']")
        page.wait_for_timeout(500)
        assert np.abs(first - picture(page)).mean() < 0.05
        page.keyboard.press("Escape")
        assert not page.locator("dialog.viewer").is_visible()
        watched.check()


@pytest.mark.flaky(reruns=1)  # waits for a browser
def test_the_value_at_the_crosshair_is_the_maps(browser, out):
    import nibabel as nib

    with opened(
        browser, out / "sub-01.html", viewport={"width": 1280, "height": 900}
    ) as watched:
        page = watched.page
        open_map(page, 0)
        label = page.locator("dialog.viewer").get_attribute("data-shown").split()[0]
        (path,) = (out / "sub-01/func").glob(
            f"*_contrast-{label}_*synthetic_statmap.nii.gz"
        )
        values = nib.load(path).get_fdata()
        peak = values.ravel()[np.argmax(np.abs(values))]
        told = page.locator("[data-part='value']").inner_text()
        shown = float(told.split()[0].replace("\u2212", "-"))
        assert shown == pytest.approx(peak, abs=abs(peak) / 100 + 0.006)
        watched.check()


@pytest.mark.flaky(reruns=1)  # waits for a browser
@pytest.mark.parametrize("name", ["index.html", f"sub-{HOSTILE}.html", "group.html"])
def test_markup_in_names_is_text(browser, hostile, name):
    with opened(
        browser, hostile / name, viewport={"width": 1280, "height": 900}
    ) as watched:
        page = watched.page
        page.evaluate("() => { window.hacked = () => { window.ran = true; }; }")
        page.wait_for_timeout(300)
        assert page.evaluate("window.ran") is None
        assert "onerror=hacked()" in page.locator("main").inner_text()
        assert page.locator("img[src='x']").count() == 0
        if page.locator("[data-map]").count():
            open_map(page, 0)
            assert page.evaluate("window.ran") is None
        # An image that somebody's markup asked for would be an error here.
        watched.check()


@pytest.mark.flaky(reruns=1)  # waits for a browser
def test_a_decision_made_on_a_page_changes_the_group(browser, out, tmp_path, capsys):
    import nibabel as nib

    copy = tmp_path / "out"
    shutil.copytree(out, copy)
    name = "desc-inclusion_participants.tsv"
    with opened(browser, copy / "group.html", accept_downloads=True) as watched:
        page = watched.page
        assert page.locator("[data-download]").is_disabled()
        box = page.locator("[data-decision='sub-02']")
        box.locator("[data-reason]").fill('asleep,\tas "he" said')
        box.locator("[data-include='false']").click()
        include = page.locator("[data-decision='sub-03'] [data-include='true']")
        include.click()
        assert include.get_attribute("aria-pressed") == "true"
        # What is clicked twice is not decided any more.
        undone = page.locator("[data-decision='sub-04'] [data-include='false']")
        undone.click()
        undone.click()
        page.reload()
        assert "2 decided, 1 left out" in page.locator("[data-decided]").inner_text()
        page.goto((copy / "sub-02.html").as_uri())
        pressed = page.locator("[data-include='false']").get_attribute("aria-pressed")
        assert pressed == "true"
        with page.expect_download() as download:
            page.locator("[data-download]").click()
        assert download.value.suggested_filename == name
        download.value.save_as(copy / name)
        watched.check()
    assert (copy / name).read_text() == (
        "participant_id\tinclude\treason\nsub-02\tfalse\tasleep, as he said\nsub-03\ttrue\tn/a\n"
    )

    (mean,) = (
        path.name for path in (copy / "group").glob("*languageMath_*groupMean*.nii.gz")
    )
    before = nib.load(copy / "group" / mean).get_fdata()
    assert main([str(copy), str(copy), "group"]) == 0
    assert "leaves out 1 participant: sub-02" in capsys.readouterr().err
    after = nib.load(copy / "group" / mean).get_fdata()
    maps = [
        nib.load(path).get_fdata()
        for label in ("01", "03", "04", "05", "06")
        for path in (copy / f"sub-{label}/func").glob(
            "*languageMath_*desc-synthetic*.nii.gz"
        )
    ]
    np.testing.assert_allclose(after, np.mean(maps, axis=0), atol=1e-4)
    assert np.abs(after - before).max() > 1e-3
    assert "asleep, as he said" in (copy / "group.html").read_text()
    # The next page knows what was decided, in any browser.
    with browser.new_context() as context:
        page = context.new_page()
        page.goto((copy / "group.html").as_uri())
        assert "2 decided, 1 left out" in page.locator("[data-decided]").inner_text()


@pytest.mark.flaky(reruns=1)  # waits for a browser
def test_nothing_covers_the_slices_that_a_click_is_for(browser, out):
    with opened(browser, out / "sub-01.html") as watched:
        open_map(watched.page, 0)
        watched.page.wait_for_timeout(500)
        top = watched.page.evaluate(
            """() => {
                const box = document.querySelector('dialog.viewer canvas').getBoundingClientRect();
                const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
                return document.elementFromPoint(x, y).tagName;
            }"""
        )
        assert top == "CANVAS"
        watched.check()


@pytest.fixture(scope="module")
def parcels(tmp_path_factory) -> Path:
    """A person's page of parcels, by the model that comes with the program."""
    folder, rng = tmp_path_factory.mktemp("parcels"), np.random.default_rng(0)
    series = rng.normal(size=(700, 20)) @ rng.normal(size=(20, 360)) ** 3
    series = (series + 3 * rng.normal(size=series.shape)).astype(np.float32)
    xcpd = write_xcpd_parcels(folder, series, load_bundle("hcp-glasser").places.axis)
    words = [str(xcpd), str(folder / "out"), "participant", "--model", "hcp-glasser"]
    assert main(words) == 0
    return folder / "out"


def open_contrast(page, number: int) -> None:
    """Open one of the contrasts that the page begins with."""
    page.locator(".map[data-map]").nth(number).click()
    page.wait_for_selector("dialog.viewer[data-shown]", timeout=60_000)
    page.wait_for_timeout(1000)


def parcel_under(page, x: float, y: float) -> str:
    """Point to a place of the canvas, as shares of its sides; return the named parcel."""
    box = page.locator("dialog.viewer canvas").bounding_box()
    page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"])
    page.wait_for_timeout(300)
    return page.locator("dialog.viewer [data-part=place]").inner_text()


def barriers(page) -> list[str]:
    """Return what axe-core finds that keeps people from using a page."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    results = axe.run(page).response
    assert results["passes"]
    return [
        f"{rule['id']}: {rule['nodes'][0]['html']}"
        for rule in results["violations"]
        if rule["impact"] in ("serious", "critical")
    ]


@pytest.mark.flaky(reruns=1)  # waits for a browser
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_everybody_can_use_a_page_of_parcels_and_its_viewer(browser, parcels, theme):
    options = {"viewport": {"width": 390, "height": 900}, "color_scheme": theme}
    with opened(browser, parcels / "sub-01.html", **options) as watched:
        assert barriers(watched.page) == []
        open_contrast(watched.page, 1)
        assert barriers(watched.page) == []
        # It sees what is wrong.
        nameless = "document.querySelector('dialog.viewer label').remove()"
        watched.page.evaluate(nameless)
        assert any(line.startswith("select-name") for line in barriers(watched.page))


@pytest.mark.flaky(reruns=1)  # waits for a browser
@pytest.mark.parametrize("width", [390, 1280])
def test_the_cortex_turns_and_names_the_parcel_under_the_pointer(
    browser, parcels, width
):
    size = {"viewport": {"width": width, "height": 900}, "has_touch": width < 500}
    with opened(browser, parcels / "sub-01.html", **size) as watched:
        page = watched.page
        open_contrast(page, 1)
        assert parcel_under(page, 0.5, 0.5).startswith("left ")
        value = page.locator("dialog.viewer [data-part=value]").inner_text()
        assert value.startswith("Predicted [90 % interval]: ")
        assert "arbitrary units" in value
        from_left = picture(page)
        page.select_option("[data-part=view]", "right")
        page.wait_for_timeout(1000)
        assert parcel_under(page, 0.5, 0.5).startswith("right ")
        page.select_option("[data-part=side]", "L")  # its medial side
        page.wait_for_timeout(500)
        # In the middle is the medial wall, which is no parcel.
        medial = {parcel_under(page, x, y)[:5] for x in (0.4, 0.6) for y in (0.4, 0.5)}
        assert "left " in medial
        assert "right" not in medial
        assert parcel_under(page, 0.01, 0.01) == "Point to the cortex to name a parcel."
        page.select_option("[data-part=side]", "both")
        page.select_option("[data-part=view]", "left")
        page.locator("dialog.viewer canvas").focus()
        for _ in range(3):
            page.keyboard.press("ArrowRight")
        page.wait_for_timeout(500)
        assert np.abs(picture(page) - from_left).max() > 50
        if width < 500:
            box = page.locator("dialog.viewer canvas").bounding_box()
            page.touchscreen.tap(
                box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
            )
            page.wait_for_timeout(300)
            assert (
                page.locator("dialog.viewer")
                .get_attribute("data-parcel")
                .startswith("left ")
            )
        watched.check()


@pytest.mark.flaky(reruns=1)  # waits for a browser
def test_the_cortex_shows_each_contrast_as_map_or_faint_deviation(browser, parcels):
    with opened(browser, parcels / "sub-01.html") as watched:
        page = watched.page
        open_contrast(page, 1)
        whole = picture(page)
        page.select_option("[data-part=layer]", "deviation")
        page.wait_for_selector(
            "dialog.viewer[data-shown$=' deviation']", timeout=30_000
        )
        page.wait_for_timeout(500)
        faint = picture(page)
        assert colourful(faint) < colourful(whole) / 2
        assert np.abs(faint - whole).max() > 50
        assert "fainter" in page.locator("[data-part=explained]").inner_text()
        page.locator("[data-part=next]").click()
        label = page.locator("dialog.viewer").get_attribute("data-shown")
        page.select_option("[data-part=map]", label="Language: maths minus stories")
        page.wait_for_selector(
            "dialog.viewer[data-shown^=languageMathVsStory]", timeout=30_000
        )
        assert not label.startswith("languageMathVsStory")
        watched.check()


def test_a_page_of_parcels_is_small_beside_what_pages_share(parcels):
    files = [parcels / "sub-01.html", *(parcels / "sub-01/figures").iterdir()]
    assert sum(path.stat().st_size for path in files) <= 1.5e6
    shared = [path.name for path in (parcels / "figures").glob("*meshes.js")]
    assert len(shared) == 1


# Searches without a click, so that a field that is being filled in keeps the focus.
SEARCH = "(box, text) => { box.value = text; box.dispatchEvent(new Event('input')); }"


def write_many(root: Path) -> None:
    """Write an index and a group page of 600 participants, one of whom has markup as a name."""
    flags: dict[str, list[Flag]] = {}
    for number in range(599):
        level = {0: "failed", 1: "problem", 2: "warning"}.get(number % 10)
        flags[f"{number:04d}"] = [Flag(level, f"why {level}")] if level else []
    flags[HOSTILE] = [Flag("problem", SCRIPT)]
    (root / "dataset_description.json").write_text("{}")
    for label, flags_of_person in flags.items():
        counts = json.dumps(flag_counts(flags_of_person)).replace("'", "\\u0027")
        head = f"<meta name=\"bids-dtg-flags\" content='{counts}'>"
        (root / f"sub-{label}.html").write_text(head)
    rows = [
        {
            "participant_id": f"sub-{label}",
            "task_id": "rest",
            "fd_mean": f"{number / 1000:.3f}" if number else "n/a",
            "training_distribution": "outside" if number == 7 else "inside",
            "training_distribution_reasons": SCRIPT,
        }
        for number, label in enumerate(flags)
    ]
    output = DerivativeDataset(root)
    failures = [Failure("0000", "reading", "why failed")]
    write_group_page(output, rows, flags, failures, {}, MeanMapFiles())
    write_index(output)


@pytest.mark.flaky(reruns=1)  # waits for a browser
def test_thousands_are_searched_sorted_filtered_and_decided_on(browser, tmp_path):
    write_many(tmp_path)
    size = {"viewport": {"width": 1280, "height": 900}}
    with opened(browser, tmp_path / "index.html", **size) as watched:
        page = watched.page
        drawn = page.locator("[data-rows] tbody tr:not(.space)")
        shown = page.locator("[data-shown]")
        assert shown.inner_text() == "600 rows"
        assert drawn.count() < 100
        page.locator("[data-filter]").select_option("failed")
        assert shown.inner_text() == "60 of 600 rows"
        assert "why failed" in drawn.first.inner_text()
        colour = "getComputedStyle(document.querySelector('td.%s')).color"
        failed = page.evaluate(colour % "failed")
        page.locator("[data-filter]").select_option("problem")
        assert page.evaluate(colour % "problem") != failed
        page.locator("[data-filter]").select_option("")
        page.locator("[data-search]").fill("SUB-0123")
        assert shown.inner_text() == "1 of 600 rows"
        assert drawn.first.locator("a").get_attribute("href") == "sub-0123.html"
        page.locator("[data-search]").fill("onerror")
        assert HOSTILE in drawn.first.inner_text()
        page.locator("[data-search]").fill("")
        # The last rows are drawn once they are scrolled to.
        page.evaluate("document.querySelector('[data-scroller]').scrollTop = 1e9")
        page.get_by_text("sub-0598", exact=True).wait_for()
        assert page.evaluate("window.hacked") is None
        watched.check()
    with opened(browser, tmp_path / "group.html", **size) as watched:
        page = watched.page
        table = page.locator("[data-rows='runs']")
        first = table.locator("tbody tr:not(.space)").first
        heading = table.locator("th").filter(has_text="displacement")
        heading.get_by_role("button").click()
        assert "0.00" in first.inner_text()
        heading.get_by_role("button").click()
        assert HOSTILE in first.inner_text()  # the largest; n/a comes last
        table.locator("[data-filter]").select_option("problem")
        assert "sub-0007" in first.inner_text()
        people = page.locator("[data-rows='people']")
        person = people.locator("tbody tr:not(.space)").first
        assert person.locator("td").first.inner_text() == "sub-0000"
        person.get_by_role("button", name="Leave out").click()
        assert page.locator("[data-decided]").inner_text() == "1 decided, 1 left out"
        # The decision is still there after the row was not drawn.
        people.locator("[data-search]").fill("sub-0500")
        people.locator("[data-search]").fill("sub-0000")
        pressed = person.locator("[data-include='false']").get_attribute("aria-pressed")
        assert pressed == "true"
        # So is what was being typed, with a decision and without one.
        for label in ("0000", "0001"):
            people.locator("[data-search]").fill(f"sub-{label}")
            person.locator("[data-reason]").press_sequentially(f"asleep {label}")
            people.locator("[data-search]").evaluate(SEARCH, "sub-0500")
            people.locator("[data-search]").evaluate(SEARCH, f"sub-{label}")
            typed = person.locator("[data-reason]").input_value()
            assert typed == f"asleep {label}"
        watched.check()
    with opened(browser, tmp_path / "index.html", java_script_enabled=False) as watched:
        assert "60 participants failed" in watched.page.locator("main").inner_text()
        assert watched.page.locator("noscript a").count() == 60
