"""What could mislead or be lost on the page: the next patient, another pair, a lost connection."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("trame_slicer", reason="needs the browser part (pip install mrisynth[view])")
pytest.importorskip("selenium", reason="needs selenium (pip install mrisynth[test])")

from dicom_series import write_series
from fakes import head
from MRISynthLib import io
from MRISynthSegmentLib.io import save_segmentation
from MRISynthSegmentLib.segmentation import Segmentation
from test_viewer_browser import COMBINED, LEFT, RIGHT, middle, start_slow, synthetic, use_inputs
from viewer_host import Browser, House, available, browser, until

pytestmark = pytest.mark.skipif(
    not available(),
    reason="needs chromium and its driver (Debian: chromium chromium-driver)",
)


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    for seed, name in enumerate(("T1w", "T2w", "CE-T1w")):
        io.save(head(seed, (12, 64, 56), name=name, sequence=name), folder / f"{name}.nii.gz")
    with House(visitors=1, files=(folder,), leave_seconds=30) as opened:
        yield opened


@pytest.fixture(scope="module")
def page(house):
    """A real and a synthetic CE-T1w, and structures."""
    with browser() as opened:
        opened.open(house.gateway.url)
        until(lambda: opened.state("images"), "the images")
        use_inputs(opened)
        opened.click("apply")
        until(lambda: synthetic(opened), "the synthetic image")
        opened.idle()
        opened.set("section", ["images", "make", "structures", "results"])
        opened.click("segment")
        until(lambda: opened.state("results"), "the structures")
        opened.idle()
        opened.click("layout-4")
        yield opened


def choose_difference(page: Browser) -> None:
    page.click("mode-difference")
    until(lambda: page.state("figures"), "the numbers")
    page.idle()


def place(page: Browser) -> float:
    return round(page.state("Real__SliderState__value"), 2)


def test_a_difference_that_cannot_be_had_now_is_not_seemingly_shown(page):
    start_slow(page)
    page.click("mode-difference")
    until(lambda: "choose the difference when" in page.state("message"), "the sentence")
    until(lambda: page.state("mode") == "blend", "the blend is called a blend")
    page.click("cancel")
    until(lambda: not page.state("running"), "the end")
    page.set("prompt", "")


def test_numbers_go_with_the_pair_and_the_structures_that_they_are_of(page):
    choose_difference(page)
    left = page.state("left")
    other = next(row["key"] for row in page.state("images") if row["sequence"] == "T2w")
    page.set("left", other)
    until(lambda: not page.state("figures"), "no numbers of another pair")
    until(lambda: page.state("mode") == "blend", "no blend that seems to be a difference")
    page.set("left", left)
    until(lambda: not page.state("mode_reasons")["difference"], "the pair again")
    until(lambda: page.state("figures"), "the numbers of this pair")
    page.click("segment")
    until(lambda: not page.state("figures"), "no numbers in contours that are no more")
    page.idle()
    choose_difference(page)


def test_what_is_made_in_the_difference_mode_is_compared_at_once(page):
    choose_difference(page)
    count = len(synthetic(page))
    page.click("apply")
    until(lambda: len(synthetic(page)) > count, "another one")
    until(lambda: page.state("figures") and not page.state("running"), "its numbers")
    assert page.state("message_kind") != "error", page.state("message")


SWIPE = """
const [ways] = arguments;
const box = document.querySelectorAll(".layout-grid-item")[0].getBoundingClientRect();
const at = { clientX: box.x + box.width / 2, clientY: box.y + box.height / 2, bubbles: true };
const target = document.elementFromPoint(at.clientX, at.clientY);
for (const way of ways) {
  const turn = { ...at, deltaY: way / 3, wheelDeltaY: -way, cancelable: true };
  target.dispatchEvent(new WheelEvent("wheel", turn));
}
"""


def test_a_swipe_on_a_touch_pad_goes_as_far_as_a_wheel_by_its_length(page):
    first = place(page)
    page.trigger("step", -6)
    until(lambda: place(page) != first, "six slices back")
    before = place(page)
    page.driver.find_element("tag name", "body").send_keys("f" * 3)
    three = before + (first - before) / 2
    until(lambda: place(page) == pytest.approx(three, abs=0.05), "keys")
    page.driver.find_element("tag name", "body").send_keys("b" * 3)
    until(lambda: place(page) == pytest.approx(before, abs=0.05), "back")
    page.run(SWIPE, [-12] * 21)  # the first at once, and two notches of the wheel
    until(lambda: place(page) == pytest.approx(three, abs=0.05), "as far as the keys")
    page.rested(LEFT)
    assert place(page) == pytest.approx(three, abs=0.05), "and no farther"


def test_keys_work_after_a_box_was_ticked(page):
    box = page.driver.find_element("css selector", "#outline")
    page.run("arguments[0].focus()", box)
    shown = page.state("contours_shown")
    box.send_keys("g")
    until(lambda: page.state("contours_shown") != shown, "the key")
    box.send_keys("g")
    until(lambda: page.state("contours_shown") == shown, "the key again")


def test_nothing_of_a_patient_is_left_for_the_next_one(page, tmp_path):
    from selenium.webdriver import ActionChains

    page.click("mode-blend")
    page.set("correct_structure", page.state("results")[0]["name"])
    page.set("correcting", True)
    until(lambda: page.state("correcting"), "the mode")
    ActionChains(page.driver).move_to_element_with_offset(page.view(LEFT), 60, 0).click().perform()
    until(lambda: page.state("can_undo"), "the correction")
    page.idle()
    page.click("start-anew")
    until(lambda: "that you corrected would go" in page.state("message"), "the question")
    assert page.state("images"), "nothing is lost by one click"
    page.click("start-anew")
    until(lambda: not page.state("images"), "an empty scene")
    assert not page.state("results")
    assert not page.state("figures")
    file = tmp_path / "next.nii.gz"
    io.save(head(9, (12, 64, 56), name="T1w", sequence="T1w"), file)
    page.send(file)
    until(lambda: page.state("images"), "the next patient")
    page.settled(LEFT, lambda seen: middle(seen).max() > 150, "the image")
    seen = page.rested(LEFT)
    inside = middle(seen)
    assert (inside.max(axis=-1) - inside.min(axis=-1)).max() < 30, "grey alone: no contour"
    assert not page.state("can_undo")


def colours(pixels) -> int:
    """How much is not grey in the middle of a view."""
    inside = middle(pixels)
    return int((inside.max(axis=-1) - inside.min(axis=-1) > 60).sum())


def test_contours_are_not_seen_over_another_patient_s_image(house, page, tmp_path):
    from selenium.webdriver import ActionChains

    def second(data, _index):
        data.PatientID, data.PatientName = "4712", "Roe^Jane"

    uploads = house.visitors[0].folder / "uploads"
    assert list(uploads.iterdir()), "the files of the patient before"
    fetched = uploads.parent / "downloads" / "0123456789abcdef"
    fetched.mkdir(parents=True)
    page.click("start-anew")
    until(lambda: not page.state("images"), "an empty scene")
    until(lambda: not list(uploads.iterdir()), "their files are gone too")
    assert not fetched.exists(), "and what was made of them"
    for name, change, series in (("a", None, "1.2.3.8"), ("b", second, "1.2.3.9")):
        folder = write_series(tmp_path / name, change=change, series=series)
        count = len(page.state("images"))
        page.send(*sorted(path for path in (tmp_path / name).rglob("*") if path.is_file()))
        until(lambda n=count: len(page.state("images")) > n, f"{name} {folder}")
        page.idle()
    assert "is of another patient or study than" in page.state("message")
    first, other = (row["key"] for row in page.state("images"))
    page.set("left", first)
    page.set("right", other)
    page.click("segment")
    until(lambda: page.state("results"), "the structures")
    page.settled(LEFT, lambda seen: colours(seen) > 50, "over their own image")
    assert not colours(page.rested(RIGHT)), "not over the other patient's"
    assert not colours(page.rested(COMBINED)), "nor over both"
    page.set("correcting", True)
    until(lambda: page.state("correcting"), "the mode")
    ActionChains(page.driver).move_to_element(page.view(RIGHT)).click().perform()
    until(lambda: "another patient's image" in page.state("message"), "why nothing changes", 20)
    assert not page.state("can_undo"), "nothing that is not seen was corrected"
    page.set("contours_shown", False)
    until(lambda: not colours(page.rested(LEFT)), "no contours")
    ActionChains(page.driver).move_to_element(page.view(LEFT)).click().perform()
    until(lambda: "is hidden; show it" in page.state("message"), "why nothing changes", 20)
    assert not page.state("can_undo"), "nothing that is hidden was corrected"
    page.set("contours_shown", True)
    page.settled(LEFT, lambda seen: colours(seen) > 50, "contours again")
    ActionChains(page.driver).move_to_element(page.view(LEFT)).click().perform()
    until(lambda: page.state("can_undo"), "a correction where they are seen")
    page.idle()
    page.click("undo")
    until(lambda: not page.state("can_undo"), "the way back")


def test_what_was_being_sent_when_the_page_was_loaded_anew_is_not_waited_for(page):
    page.set("uploading", "Sending: 3 of 9 files")
    until(lambda: page.driver.find_elements("id", "uploading"), "the bar")
    page.open(page.driver.current_url)
    until(lambda: not page.driver.find_elements("id", "uploading"), "no bar for ever", 20)


def test_what_was_of_no_use_or_not_sent_whole_takes_no_room(house, page, tmp_path):
    uploads = house.visitors[0].folder / "uploads"
    before = set(uploads.iterdir())
    letter = tmp_path / "letter.txt"
    letter.write_text("Dear colleague", encoding="utf-8")
    page.send(letter)
    until(lambda: "holds no image" in page.state("message"), "a sentence")
    until(lambda: set(uploads.iterdir()) == before, "the letter is gone")
    address = "upload?batch=00112233445566aa&name=1.dcm"
    page.run("return fetch(arguments[0], {method: 'POST', body: 'part'}).then(a => 0)", address)
    assert set(uploads.iterdir()) > before
    page.open(page.driver.current_url)  # the rest will never come
    until(lambda: set(uploads.iterdir()) == before, "the part is gone")


def test_of_several_files_with_contours_it_is_said_which_is_shown(page, tmp_path):
    page.click("start-anew")
    until(lambda: not page.state("images"), "an empty scene")
    image = head(9, (12, 64, 56), name="T1w", sequence="T1w")
    io.save(image, tmp_path / "T1w.nii.gz")
    mask = np.zeros(image.shape, bool)
    mask[4:8, 20:40, 20:40] = True
    for name, structure in (("mine", "GTVp"), ("theirs", "Brain")):
        drawn = Segmentation({structure: mask}, image)
        save_segmentation(drawn, tmp_path / f"{name}.seg.nrrd")
    page.send(*sorted(tmp_path.iterdir()))
    until(lambda: page.state("results"), "the contours")
    assert [row["name"] for row in page.state("results")] == ["GTVp"]
    said = "here mine.seg.nrrd; send theirs.seg.nrrd by itself"
    until(lambda: said in page.state("message"), "which are shown")


def test_a_page_that_lost_its_scene_says_so_and_where_to_go(page, house):
    house.do(house.gateway.visitors.close())
    until(lambda: page.driver.find_elements("id", "lost"), "the page")
    assert "connection to MRISynth has ended" in page.text()
    page.driver.find_element("link text", "Load this page again").click()
    until(lambda: "This scene has ended" in page.text(), "what has become of it")
