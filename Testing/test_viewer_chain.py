"""The whole chain by clicks in a real browser with the shipped models."""

from __future__ import annotations

import pytest

pytest.importorskip("trame_slicer", reason="needs the browser part (pip install mrisynth[view])")

from MRISynthApp.viewer.server import TASKS
from MRISynthLib import io
from viewer_host import Browser, House, available, browser, until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not available(), reason="needs selenium, chromium and its driver (chromium-driver)"
    ),
]

LONG = 600
"""Seconds for the networks on a busy machine."""


@pytest.fixture(scope="module")
def house():
    with House(TASKS, visitors=1) as opened:
        yield opened


@pytest.fixture
def page(house):
    with browser() as opened:
        until(lambda: not house.visitors, "the one place is free")
        opened.open(house.gateway.url)
        yield opened


def slab(path, folder, slices: int = 14):
    """Some slices around the middle of a scan, so that the networks take seconds."""
    volume = io.load_one(path)
    step = max(1, volume.shape[0] // 60)
    first = volume.shape[0] // 2 - step * slices // 2
    matrix = volume.index_to_world.copy()
    matrix[:3, 3] += first * matrix[:3, 2]
    matrix[:3, 2] *= step
    voxels = volume.voxels[first : first + step * slices : step]
    io.save(volume.replace(voxels=voxels, index_to_world=matrix), folder / path.name)
    return folder / path.name


def chain(page: Browser) -> None:
    """Apply, find structures, compare: what a user came for."""
    page.click("apply")
    made = until(
        lambda: [row for row in page.state("images") if row["synthetic"]], "synthetic", LONG
    )
    page.idle()
    assert [row["sequence"] for row in made] == ["CE-T1w"]
    assert page.state("message_kind") != "error", page.state("message")
    page.settled(1, lambda seen: seen[seen.shape[0] // 3 : -80].std() > 20, "the synthetic image")
    page.set("section", ["structures", "results"])
    page.trigger("preset", "Targets")
    until(lambda: page.state("ticked_count") < 5, "the preset")
    page.click("segment")
    until(lambda: page.state("results") or page.state("message_kind") == "error", "found", LONG)
    page.idle()
    assert {row["name"] for row in page.state("results")} >= {"GTVp"}, page.state("message")


def test_the_simulated_patient(page):
    page.click("welcome-simulated")
    until(lambda: page.state("images"), "the patient", LONG)
    page.idle()
    chain(page)
    page.click("layout-4")
    page.click("mode-difference")
    (body, *_) = until(lambda: page.state("figures"), "the numbers", LONG)
    assert body["region"] == "body"
    assert float(body["ssim"]) > 0.5


def test_a_real_head(page, shared_data, tmp_path):
    head = shared_data / "mr_adi"
    page.send(slab(head / "T1w.nii.gz", tmp_path), head / "T2w.nii.gz")
    until(lambda: len(page.state("images") or ()) == 2, "the images")
    page.idle()
    chain(page)
    assert page.state("mode_reasons")["difference"]
