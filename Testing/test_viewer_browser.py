"""The page in a real browser, by clicks, with a worker that needs no model."""

from __future__ import annotations

import json
import zipfile

import numpy as np
import psutil
import pytest

pytest.importorskip("trame_slicer", reason="needs the browser part (pip install mrisynth[view])")
pytest.importorskip("selenium", reason="needs selenium (pip install mrisynth[test])")

from fakes import head
from MRISynthLib import io
from viewer_host import Browser, House, available, browser, until
from viewer_tasks import SLOW

pytestmark = pytest.mark.skipif(
    not available(),
    reason="needs chromium and its driver (Debian: chromium chromium-driver)",
)

LEFT, RIGHT, COMBINED = 0, 1, 2
ONLY = 0


# ------------------------------------------------------------------------------- fixtures


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A folder with T1w, T2w and the real CE-T1w."""
    folder = tmp_path_factory.mktemp("study")
    for seed, name in enumerate(("T1w", "T2w", "CE-T1w")):
        io.save(head(seed, (12, 64, 56), name=name, sequence=name), folder / f"{name}.nii.gz")
    return folder


@pytest.fixture(scope="module")
def house(study):
    with House(visitors=3, files=(study,), leave_seconds=8) as opened:
        yield opened


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Where pictures of every state are left, to be looked at."""
    return tmp_path_factory.mktemp("pictures")


@pytest.fixture(scope="module")
def page(house, pictures):
    """A scene in which everything was made by clicks; all four views."""
    with browser() as opened:
        opened.open(house.gateway.url)
        opened.save(pictures, "opened")
        until(lambda: opened.state("images"), "the images")
        use_inputs(opened)
        opened.click("apply")
        until(lambda: synthetic(opened), "the synthetic image")
        opened.idle()
        opened.save(pictures, "made")
        opened.set("section", ["structures", "results"])
        opened.click("segment")
        until(lambda: opened.state("results"), "the structures")
        opened.idle()
        opened.click("layout-4")
        until(lambda: len(opened.driver.find_elements("class name", "layout-grid-item")) == 4)
        opened.settled(LEFT, lambda seen: seen.max() > 150, "an image")
        opened.save(pictures, "four", views=4)
        yield opened


def use_inputs(page: Browser) -> None:
    """Untick the real CE-T1w, which is there to compare with, and ask for a synthetic one."""
    key = next(row["key"] for row in page.state("images") if row["sequence"] == "CE-T1w")
    page.trigger("tick", key, False)
    until(lambda: not target(page, "CE-T1w")["problem"], "it may be made")
    for row in page.state("targets"):
        if row["ticked"] != (row["sequence"] == "CE-T1w"):
            page.trigger("tick_target", row["sequence"], row["sequence"] == "CE-T1w")
    until(lambda: target(page, "CE-T1w")["ticked"], "it is ticked")


def target(page: Browser, name: str) -> dict:
    return next(row for row in page.state("targets") if row["sequence"] == name)


def synthetic(page: Browser) -> list[dict]:
    return [row for row in page.state("images") if row["synthetic"]]


@pytest.fixture
def plain(page):
    """Images alone, blended; everything else is off, and comes back afterwards."""
    page.idle()
    page.set("contours_shown", False)
    page.set("mode", "blend")
    page.trigger("reset_view")
    yield page
    page.set("contours_shown", True)


def amber(pixels: np.ndarray) -> int:
    """How many pixels have the mark's colour, which the thin strokes of small letters dim."""
    red, green, blue = (pixels[..., channel] for channel in range(3))
    return int(((red - blue > 80) & (green > 90) & (red > green)).sum())


def near(pixels: np.ndarray, colour: tuple[int, int, int], off: int = 60) -> np.ndarray:
    return np.abs(pixels - np.array(colour)).max(axis=-1) < off


def corner(pixels: np.ndarray) -> np.ndarray:
    """Upper left, where the mark is."""
    rows, columns = pixels.shape[:2]
    return pixels[: rows // 2, : columns // 2]


def middle(pixels: np.ndarray) -> np.ndarray:
    """The part of a view that has neither text nor slider in it."""
    rows, columns = pixels.shape[:2]
    return pixels[rows // 3 : 2 * rows // 3, columns // 3 : 2 * columns // 3]


def differ(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(middle(one) - middle(other)).mean())


# --------------------------------------------------------------------------- what is seen


def test_the_synthetic_image_says_so_in_every_view_that_shows_it(plain):
    plain.settled(RIGHT, lambda seen: amber(corner(seen)) > 150, "the mark")
    plain.settled(COMBINED, lambda seen: amber(corner(seen)) > 100, "over a blend too")
    plain.settled(LEFT, lambda seen: not amber(corner(seen)), "no mark on the real image")
    assert "SYNTHETIC" in plain.text()


def test_a_blend_goes_from_one_image_to_the_other(plain):
    left, right = plain.rested(LEFT), plain.rested(RIGHT)
    assert differ(left, right) > 10
    for opacity, alike, other in ((0.0, left, right), (1.0, right, left)):
        plain.set("opacity", opacity)
        plain.settled(
            COMBINED, lambda seen, a=alike, b=other: 3 * differ(seen, a) < differ(seen, b), "an end"
        )
    plain.set("opacity", 0.5)
    half = (left + right) / 2
    plain.settled(COMBINED, lambda seen: differ(seen, half) < 5, "the middle of both")


def test_a_checkerboard_has_fields_of_both(plain):
    plain.click("mode-checkerboard")
    left, right = middle(plain.rested(LEFT)), middle(plain.rested(RIGHT))
    apart = np.abs(left - right).mean(axis=-1) > 25
    assert apart.any()

    def both(seen):
        inside = middle(seen)
        to_left, to_right = (np.abs(inside - each).mean(axis=-1) for each in (left, right))
        share = (to_left < to_right)[apart].mean()
        return 0.2 < share < 0.8

    plain.settled(COMBINED, both, "fields of both images")


def test_the_difference_is_bright_where_the_images_differ(plain, pictures):
    plain.click("mode-difference")

    def right_half(seen):
        half = seen.shape[1] // 2
        rows = slice(seen.shape[0] // 3, 2 * seen.shape[0] // 3)
        return (
            seen[rows, half + 20 : half + 60].mean() > 60 + seen[rows, half - 60 : half - 20].mean()
        )

    plain.settled(COMBINED, right_half, "the map of differences")
    plain.save(pictures, "difference")
    (row,) = plain.state("figures")
    assert row == {"region": "body", "mae": "0.021", "psnr": "28.5", "ssim": "0.912"}
    assert "28.5" in plain.text()


def test_uncertainty_is_in_colours_and_says_what_they_mean(plain, pictures):
    plain.click("mode-uncertainty")
    plain.set("opacity", 1.0)

    def coloured(seen):
        low = seen[seen.shape[0] // 2 : 3 * seen.shape[0] // 4, seen.shape[1] // 3 : -40]
        return (low.max(axis=-1) - low.min(axis=-1) > 60).mean() > 0.2

    plain.settled(COMBINED, coloured, "the colours of the map")
    plain.save(pictures, "uncertainty")
    plain.set("opacity", 0.5)


def test_structures_lie_over_every_image_and_can_be_hidden(page):
    page.set("contours_shown", True)
    page.set("mode", "blend")
    page.set("fill", 0.35)
    colour = np.array([int(page.state("results")[0]["colour"][n : n + 2], 16) for n in (1, 3, 5)])

    def outlined(seen):
        return near(seen, tuple(colour), 40).sum() > 100

    for view in (LEFT, RIGHT, COMBINED):
        page.settled(view, outlined, "the outline of the tumour")
    filled = page.rested(LEFT)
    page.set("outline", False)
    page.set("fill", 0)
    page.settled(LEFT, lambda seen: not near(seen, tuple(colour), 40).any(), "no structure")
    page.set("fill", 1)
    strong = page.settled(LEFT, lambda seen: differ(seen, filled) > 10, "a strong fill")
    name = page.state("results")[0]["name"]
    page.trigger("show_structure", name, False)
    page.settled(LEFT, lambda seen: differ(seen, strong) > 2, "one structure less")
    page.trigger("show_structure", name, True)
    page.set("fill", 0.35)
    page.set("outline", True)


def test_the_3d_view_has_the_structures(page):
    page.settled(3, lambda seen: (seen.max(axis=-1) - seen.min(axis=-1) > 90).sum() > 500, "in 3D")


# ------------------------------------------------------------------------- what is clicked


def places(page: Browser) -> list[float]:
    return [round(page.state(f"{name}__SliderState__value"), 2) for name in ("Real", "Synthetic")]


def test_views_are_linked_in_slice_and_window(plain):
    from selenium.webdriver import ActionChains
    from selenium.webdriver.common.actions.wheel_input import ScrollOrigin

    before = places(plain)
    assert before[0] == before[1]
    origin = ScrollOrigin.from_element(plain.view(RIGHT))
    ActionChains(plain.driver).scroll_from_origin(origin, 0, -120).perform()
    until(lambda: places(plain)[1] != before[1], "the wheel")
    until(lambda: places(plain)[0] == places(plain)[1], "the other view")
    plain.driver.find_element("tag name", "body").send_keys("b")
    until(lambda: places(plain) == before, "the key back")
    left, right = plain.rested(LEFT), plain.rested(RIGHT)
    dragging = ActionChains(plain.driver).move_to_element(plain.view(LEFT)).click_and_hold()
    dragging.move_by_offset(10, 60).move_by_offset(0, 60).release().perform()
    plain.settled(LEFT, lambda seen: differ(seen, left) > 8, "another window")
    plain.settled(RIGHT, lambda seen: differ(seen, right) > 8, "the same in the other view")


def test_a_click_corrects_a_contour_and_can_be_taken_back(page, pictures):
    from selenium.webdriver import ActionChains

    page.idle()
    page.set("section", ["results"])
    name = page.state("results")[0]["name"]
    before = page.state("results")[0]["volume"]
    page.set("correct_structure", name)
    page.set("correcting", True)
    until(lambda: page.state("correcting"), "the mode")
    ActionChains(page.driver).move_to_element_with_offset(page.view(LEFT), 60, 0).click().perform()
    until(lambda: page.state("can_undo"), "the correction")
    page.idle()
    assert page.state("results")[0]["volume"] != before
    page.save(pictures, "corrected", views=4)
    page.click("undo")
    until(lambda: page.state("results")[0]["volume"] == before, "the way back")
    page.click("redo")
    until(lambda: page.state("results")[0]["volume"] != before, "and forth")
    page.trigger("undo")
    page.set("correcting", False)


def test_everything_can_be_taken_away(page, pictures):
    from pathlib import Path

    page.idle()
    page.set("section", ["downloads"])
    page.save(pictures, "downloads")
    folder = Path(page.folder)
    for kind, name in (
        ("scene", "scene.mrb"),
        ("images", "synthetic.zip"),
        ("contours", "segmentation.seg.nrrd"),
        ("report", "report.html"),
    ):
        page.click(f"download-{kind}")
        until(lambda name=name: (folder / name).exists(), name)
    with zipfile.ZipFile(folder / "scene.mrb") as scene:
        names = scene.namelist()
    assert any(name.endswith(".mrml") for name in names)
    assert any("SYNTHETIC" in name for name in names)
    with zipfile.ZipFile(folder / "synthetic.zip") as images:
        assert images.namelist() == ["CE-T1w.nii.gz", "CE-T1w_uncertainty.nii.gz"]
        images.extractall(folder)
    assert io.load_one(folder / "CE-T1w.nii.gz").is_synthetic
    assert "SYNTHETIC" in (folder / "report.html").read_text(encoding="utf-8")
    reasons = {each["kind"]: each["reason"] for each in page.state("downloads")}
    assert "DICOM" in reasons["rtstruct"]


def test_the_page_asks_no_other_server_for_anything(page, house):
    asked = set()
    for entry in page.driver.get_log("performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] == "Network.requestWillBeSent":
            asked.add(message["params"]["request"]["url"])
        if message["method"] == "Network.webSocketCreated":
            asked.add(message["params"]["url"].replace("ws:", "http:", 1))
    own = (house.base, "data:", "blob:", "chrome:", "about:")
    foreign = [url for url in asked if not url.startswith(own)]
    assert any(url.endswith("/ws") for url in asked)
    assert not foreign


@pytest.mark.parametrize(("size", "theme"), [((1280, 720), "light"), ((1920, 1080), "dark")])
def test_it_fits_laptop_and_projector_in_light_and_dark(page, pictures, size, theme):
    page.set("section", ["images", "make"])
    if page.state("theme") != theme:
        page.click("theme")
    page.resize(*size)
    until(lambda: page.view(RIGHT).rect["width"] == (size[0] - 360) // 2, "the views' new size")
    page.settled(LEFT, lambda seen: middle(seen).max() > 150, "an image")
    page.save(pictures, f"{theme}-{size[0]}", views=4)
    wide = page.run("return document.documentElement.scrollWidth")
    assert wide == size[0]
    page.resize(1280, 720)


def test_until_a_view_is_drawn_in_its_new_size_the_old_picture_is_seen_whole(page):
    image = page.view(RIGHT).find_element("class name", "mrs-picture")
    assert image.rect == pytest.approx(page.view(RIGHT).rect, abs=2), "as large as the view"
    assert image.value_of_css_property("object-fit") == "contain"


def test_a_reload_finds_the_scene_as_it_was(page):
    images = page.state("image_items")
    page.open(page.driver.current_url)
    assert page.state("image_items") == images
    assert page.state("results")
    page.settled(LEFT, lambda seen: seen.max() > 150, "an image")


# --------------------------------------------------------------------- others, and trouble


@pytest.fixture(scope="module")
def second(house):
    """Another visitor, with a browser of their own."""
    with browser() as opened:
        opened.open(house.gateway.url)
        until(lambda: opened.state("images"), "the images")
        use_inputs(opened)
        yield opened


def test_two_visitors_do_not_see_each_other(page, second):
    assert synthetic(page)
    assert not synthetic(second)
    assert not second.state("results")
    second.set("prompt", "only mine")
    until(lambda: "only mine" in (second.state("prompt") or ""), "the words")
    assert page.state("prompt") != "only mine"
    second.set("prompt", "")


def start_slow(page: Browser) -> None:
    page.idle()
    page.set("prompt", SLOW)
    until(lambda: SLOW.replace(" ", "") in page.state("understood").replace(" ", ""), "the words")
    page.click("apply")
    until(lambda: page.state("running") and page.state("progress") > 0, "the work")


def test_the_visible_slice_comes_first_and_cancel_stops(second, pictures):
    start_slow(second)
    second.settled(RIGHT, lambda seen: middle(seen).mean() > 40, "the first slice")
    second.settled(RIGHT, lambda seen: amber(corner(seen)) > 100, "its mark")
    second.save(pictures, "working")
    second.set("layout", "1")
    second.settled(ONLY, lambda seen: amber(corner(seen)) > 100, "its mark in the only view")
    assert middle(second.pixels(ONLY)).mean() > 40
    second.click("cancel")
    until(lambda: second.state("message") == "Cancelled; nothing was changed.", "the end")
    assert second.state("message_kind") == "info"
    assert not synthetic(second)
    second.settled(ONLY, lambda seen: amber(corner(seen)) == 0, "the images as before")
    second.set("layout", "2")


def test_a_killed_worker_is_told_and_the_next_request_works(house, second, pictures):
    start_slow(second)
    psutil.Process(house.client.pid).kill()
    until(lambda: "died" in second.state("message"), "the sentence")
    assert second.state("message_kind") == "error"
    second.save(pictures, "worker-died")
    second.set("prompt", "")
    until(lambda: "7" not in second.state("understood"), "no words")
    second.click("apply")
    until(lambda: synthetic(second), "the next request")


def test_a_damaged_file_is_refused_in_one_sentence_and_a_good_one_comes_in(
    second, tmp_path, pictures
):
    second.idle()
    bad = tmp_path / "flair.nii.gz"
    bad.write_bytes(b"\x1f\x8b" + bytes(300))
    second.send(bad)
    until(lambda: "flair.nii.gz" in second.state("message"), "the sentence")
    assert str(tmp_path) not in second.state("message")
    assert "mrisynth-view" not in second.state("message")
    second.save(pictures, "refused")
    good = tmp_path / "STIR.nii.gz"
    io.save(head(5, (8, 40, 40), name="STIR"), good)
    second.send(good)
    until(lambda: any(row["sequence"] == "STIR" for row in second.state("images")), "the image")


def test_leaving_ends_the_scene(house, second):
    visitor = max(house.visitors, key=lambda each: each.active_at)
    second.driver.get("about:blank")
    until(lambda: visitor not in house.visitors, "the scene has ended")
    until(lambda: not visitor.folder.exists(), "its files are gone")
