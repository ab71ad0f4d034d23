"""Looking closely, in a real browser: scrolling, flicker, line profile; and dropped files."""

from __future__ import annotations

import re
import time

import numpy as np
import pytest

pytest.importorskip("trame_slicer", reason="needs the browser part (pip install mrisynth[view])")
pytest.importorskip("selenium", reason="needs selenium (pip install mrisynth[test])")

from dicom_series import write_series
from fakes import head
from MRISynthLib import io
from viewer_host import Browser, House, available, browser, until

pytestmark = pytest.mark.skipif(
    not available(),
    reason="needs chromium and its driver (Debian: chromium chromium-driver)",
)

LEFT, RIGHT, COMBINED = 0, 1, 2


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Where pictures of every state are left, to be looked at."""
    return tmp_path_factory.mktemp("pictures")


@pytest.fixture(scope="module")
def house():
    with House(visitors=1) as opened:
        yield opened


@pytest.fixture(scope="module")
def page(house, tmp_path_factory, pictures):
    """T1w as it is, and a synthetic T2w, which is darker on one side; structures; three views."""
    folder = tmp_path_factory.mktemp("study")
    file = folder / "T1w.nii.gz"
    io.save(head(0, (24, 64, 56), name="T1w", sequence="T1w"), file)
    with browser() as opened:
        opened.open(house.gateway.url)
        drop(opened, file)
        until(lambda: opened.state("images"), "the dropped file")
        opened.idle()
        for row in opened.state("targets"):
            if row["ticked"] != (row["sequence"] == "T2w"):
                opened.trigger("tick_target", row["sequence"], row["sequence"] == "T2w")
        until(
            lambda: (
                [row["sequence"] for row in opened.state("targets") if row["ticked"]] == ["T2w"]
            ),
            "the target",
        )
        opened.click("apply")
        until(lambda: len(opened.state("images")) == 2, "the synthetic image")
        opened.idle()
        opened.set("section", ["results"])
        opened.click("layout-3")
        until(lambda: len(opened.driver.find_elements("class name", "layout-grid-item")) == 3)
        opened.settled(COMBINED, lambda seen: seen.max() > 150, "an image")
        yield opened


def drop(page: Browser, *paths) -> None:
    """Let files or folders fall on the page, as the system's file manager does."""
    data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}

    def do(kind: str) -> bool:
        event = {"type": kind, "x": 700, "y": 400, "data": data}
        page.driver.execute_cdp_cmd("Input.dispatchDragEvent", event)
        return page.run("return !!document.querySelector('.mrs-drop-on')")

    do("dragEnter")
    until(lambda: do("dragOver"), "the page says that it takes them")
    do("drop")
    until(lambda: not page.run("return !!document.querySelector('.mrs-drop-on')"), "the end of it")


def middle(pixels: np.ndarray) -> np.ndarray:
    rows, columns = pixels.shape[:2]
    return pixels[rows // 3 : 2 * rows // 3, columns // 3 : 2 * columns // 3]


def differ(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(middle(one) - middle(other)).mean())


def places(page: Browser) -> list[float]:
    return [round(page.state(f"{name}__SliderState__value"), 2) for name in ("Real", "Synthetic")]


# ----------------------------------------------------------------------------- scrolling


TURN = """
const [turns, up] = arguments;
const box = document.querySelectorAll(".layout-grid-item")[0].getBoundingClientRect();
const at = { clientX: box.x + box.width / 2, clientY: box.y + box.height / 2, bubbles: true };
const target = document.elementFromPoint(at.clientX, at.clientY);
const turn = { ...at, deltaY: up ? -120 : 120, cancelable: true };
for (let n = 0; n < turns; n += 1) target.dispatchEvent(new WheelEvent("wheel", turn));
"""


def test_a_quick_turn_of_the_wheel_goes_as_far_as_a_slow_one(page):
    before = places(page)
    image = page.rested(LEFT)
    page.run(TURN, 7, True)
    until(lambda: places(page) != before, "the wheel")
    page.driver.find_element("tag name", "body").send_keys("b" * 7)
    until(lambda: places(page) == before, "as many steps back")
    page.settled(LEFT, lambda seen: differ(seen, image) < 0.5, "the same image, and sharp again")


SLOW = """
const decode = window.createImageBitmap;
window.createImageBitmap = (blob) =>
  new Promise((done) => setTimeout(done, arguments[0])).then(() => decode(blob));
window.decodesAsBefore = () => { window.createImageBitmap = decode; };
"""


def test_a_page_that_is_slow_ends_with_the_newest_picture(page):
    before, image = places(page), page.rested(LEFT)
    page.run(SLOW, 300)
    page.run(TURN, 6, True)
    page.settled(LEFT, lambda seen: differ(seen, image) > 3, "another slice")
    page.driver.find_element("tag name", "body").send_keys("b" * 6)
    until(lambda: places(page) == before, "as many steps back")
    page.settled(LEFT, lambda seen: differ(seen, image) < 0.5, "the same image, and sharp again")
    page.run("window.decodesAsBefore()")


def test_the_wheel_stops_at_the_last_slice(page):
    before, last = places(page)[0], round(page.state("Real__SliderState__max_value"), 2)
    page.run(TURN, 100, True)
    until(lambda: places(page) == [last, last], "the end, in both views")
    page.run(TURN, 1, False)
    until(lambda: before < places(page)[0] < last, "the slice before the last")
    page.trigger("reset_view")
    until(lambda: places(page)[0] == before, "as at first")


# ------------------------------------------------------------------------ ways of looking


def test_in_a_flicker_both_images_are_seen_in_turn_until_it_is_stopped(page, pictures):
    left, right = page.rested(LEFT), page.rested(RIGHT)
    assert differ(left, right) > 5
    page.click("mode-flicker")
    page.set("flicker_rate", 3)
    for alike, other in ((left, right), (right, left)) * 2:
        page.settled(
            COMBINED,
            lambda seen, a=alike, b=other: 3 * differ(seen, a) < differ(seen, b),
            "one of the two",
        )
    page.save(pictures, "flicker")
    page.click("flickering")
    until(lambda: not page.state("flickering"), "it is stopped")
    time.sleep(0.5)
    still = page.rested(COMBINED)
    for _ in range(6):
        time.sleep(0.2)
        assert differ(page.pixels(COMBINED), still) < 1
    page.click("flickering")
    page.settled(COMBINED, lambda seen: differ(seen, still) > 3, "it goes on")
    page.click("mode-blend")


def curve(page: Browser, index: int) -> np.ndarray:
    """Points of a curve of the plot."""
    found = page.run(
        "return Array.from(document.querySelectorAll('#profile-plot .mrs-curve'), "
        "(each) => each.getAttribute('d'))"
    )
    return np.array(re.findall(r"[ML]([\d.-]+) ([\d.-]+)", found[index]), float)


def drag_end(page: Browser) -> None:
    """Take the line's end and put it elsewhere."""
    from selenium.webdriver import ActionChains

    view = page.view(LEFT)
    end = round(view.rect["width"] / 4)
    chain = ActionChains(page.driver).move_to_element_with_offset(view, end, 0).pause(0.5)
    chain.click_and_hold().move_by_offset(-5, 20).pause(0.2).move_by_offset(-25, 60).pause(0.5)
    chain.release().perform()


def test_a_line_across_both_images_is_plotted_and_follows_the_mouse(page, pictures):
    plain = page.rested(LEFT)
    page.click("profile")
    until(lambda: len(curve(page, 1)) > 20, "the plot")
    page.settled(LEFT, lambda seen: differ(seen, plain) > 0.5, "the line in the view")
    page.save(pictures, "profile")
    real, synthetic = curve(page, 0), curve(page, 1)
    assert len(real) == len(synthetic)
    assert "SYNTHETIC" in page.run("return document.getElementById('profile-plot').textContent")
    drag_end(page)
    until(lambda: len(curve(page, 0)) != len(real), "another plot after the end was dragged")
    page.save(pictures, "profile-dragged")
    page.click("draw-line")
    until(lambda: np.array_equal(curve(page, 0), real), "the line as at first")
    page.click("profile")
    page.settled(LEFT, lambda seen: differ(seen, plain) < 0.5, "no line")


def test_the_mouse_is_where_it_is_seen_on_a_screen_of_fine_pixels(page):
    page.resize(1280, 720, ratio=2)
    page.rested(LEFT)
    page.click("profile")
    until(lambda: len(curve(page, 1)) > 20, "the plot")
    page.rested(LEFT)
    before = curve(page, 0)
    drag_end(page)
    until(lambda: len(curve(page, 0)) != len(before), "the end was taken")
    page.click("draw-line")
    page.click("profile")
    page.resize(1280, 720)
    page.rested(LEFT)


# ---------------------------------------------------------------------------- corrections


def test_a_click_takes_from_other_structures_if_that_is_ticked(page, pictures):
    from selenium.webdriver import ActionChains

    page.set("section", ["structures", "results"])
    page.trigger("preset", "All")
    page.click("segment")
    until(lambda: page.state("results"), "the structures")
    page.idle()

    def volumes() -> list[str]:
        return [row["volume"] for row in page.state("results")]

    before = volumes()
    page.set("correct_structure", page.state("results")[-1]["name"])
    page.set("correcting", True)
    until(lambda: page.driver.find_elements("id", "correct-exclusive"), "the choice")
    assert page.state("correct_exclusive") is False
    for exclusive in (False, True):
        page.set("correct_exclusive", exclusive)
        place = page.view(LEFT)
        until(lambda e=exclusive: page.state("correct_exclusive") is e, "the choice")
        ActionChains(page.driver).move_to_element_with_offset(place, 18, 18).click().perform()
        until(lambda: page.state("can_undo"), "the correction")
        page.idle()
        assert volumes()[-1] != before[-1]
        assert (volumes()[0] != before[0]) is exclusive
        assert ("Taken from" in page.state("message")) is exclusive
        page.save(pictures, f"taken-{exclusive}")
        page.click("undo")
        until(lambda: volumes() == before, "everything is back")
    page.set("correcting", False)


# ------------------------------------------------------------------------------- dropping


def names(page: Browser) -> set[str]:
    return {row["sequence"] for row in page.state("images")}


def test_files_and_a_folder_of_dicom_can_be_dropped(page, tmp_path):
    page.idle()
    files = []
    for seed, name in enumerate(("STIR", "FLAIR")):
        files.append(tmp_path / f"{name}.nii.gz")
        io.save(head(seed, (6, 40, 40), name=name), files[-1])
    drop(page, *files)
    until(lambda: {"STIR", "FLAIR"} <= names(page), "both files")
    page.idle()
    study = tmp_path / "study"
    write_series(study / "patient" / "series")
    count = len(page.state("images"))
    drop(page, study)
    until(lambda: len(page.state("images")) == count + 1, "one image of the whole folder")
    page.idle()
    assert "t1_tse_tra" in page.state("images")[-1]["name"]


def test_what_is_no_file_is_left_alone(page):
    images = page.state("images")
    data = {"items": [{"mimeType": "text/plain", "data": "words"}], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        event = {"type": kind, "x": 700, "y": 400, "data": data}
        page.driver.execute_cdp_cmd("Input.dispatchDragEvent", event)
    assert page.state("images") == images
    assert not page.state("uploading")
