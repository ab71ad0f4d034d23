"""The report: one file that needs nothing, says what it must, and shows the very pixels."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from MRISynthApp.report import (
    Figure,
    Panel,
    ReportData,
    ReportInput,
    ReportTarget,
    Score,
    Uncertainty,
    compose,
    structure_rows,
    write_report,
)
from MRISynthApp.report.model import describe_geometry
from MRISynthApp.report.page import render_report, shortfalls
from MRISynthLib.errors import OutputError
from MRISynthLib.provenance import DISCLAIMER, SYNTHETIC_MARK, Provenance
from MRISynthLib.volume import Volume, matrix_from_parts
from MRISynthSegmentLib.segmentation import Segmentation

HOSTILE = "<script>alert('x')</script>\"><img src=http://evil.example/x.png> & T1\n.nii"


def picture(seed: int, shape: tuple[int, int] = (24, 32)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*shape, 3), dtype=np.uint8)


@pytest.fixture
def data() -> ReportData:
    return ReportData(
        title="Synthetic MR sequences and structures",
        case_name="Simulated patient 7",
        inputs=(
            ReportInput("T1w", "t1.nii.gz", "256 × 224 × 40", 0.97, "TR 620 ms in the header"),
            ReportInput("STIR", "made.nii.gz", "256 × 224 × 40", synthetic=True),
        ),
        targets=(ReportTarget("CE-T1w", "post-gado 3T", "CE-T1w, 3 T, gadolinium"),),
        warnings=("A slice is missing.", "The tumour reaches the edge."),
        figures=(
            Figure("Inputs", (Panel(picture(0), "T1w"), Panel(picture(1), "CE-T1w", True))),
            Figure("Difference", (Panel(picture(2), "difference"),), "Absolute difference."),
        ),
        scores=(
            Score("CE-T1w", "tumour", "copy of T1w", 0.21, 13.0, 0.67),
            Score("CE-T1w", "tumour", "MRISynth", 0.0912, float("nan"), 0.66, ours=True),
        ),
        uncertainty=(Uncertainty("CE-T1w", "tumour", "0.12 of the range"),),
        timings={"register": 7.31, "synthesize": 6.2},
        device="CPU",
        files=(("CE-T1w.nii.gz", "the synthetic image"),),
        provenance={"CE-T1w": Provenance(True, sequence="CE-T1w", bundle_hash="abc123").to_dict()},
    )


class Page(HTMLParser):
    """Tags with their attributes and the text between them, in the order of the page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.styles: list[str] = []
        self._inside = ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self._inside = tag
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        (self.styles if self._inside == "style" else self.texts).append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    def images(self) -> list[np.ndarray]:
        sources = [attrs["src"] for tag, attrs in self.tags if tag == "img"]
        kind = "data:image/png;base64,"
        assert all(source.startswith(kind) for source in sources)
        decoded = (base64.b64decode(source[len(kind) :]) for source in sources)
        return [np.asarray(Image.open(io.BytesIO(png))) for png in decoded]


def test_the_file_needs_no_network_and_no_scripts(data, tmp_path):
    path = write_report(tmp_path / "report.html", data)
    page = Page(path.read_text(encoding="utf-8"))
    assert list(tmp_path.iterdir()) == [path]
    for tag, attrs in page.tags:
        assert tag not in {"script", "iframe", "object", "embed", "link", "base"}
        for name in ("src", "href", "srcset", "action", "poster", "background", "data"):
            value = attrs.get(name)
            assert value is None or value.startswith(("data:image/png;", "#")), (tag, name)
    assert not re.search(r"url\(|@import|https?:", "".join(page.styles))
    policies = [a.get("content") for t, a in page.tags if t == "meta" and "http-equiv" in a]
    assert policies
    assert "default-src 'none'" in policies[0]


def test_every_link_leads_somewhere(data):
    tags = Page(render_report(data)).tags
    targets = {attrs["id"] for _, attrs in tags if "id" in attrs}
    links = [attrs["href"][1:] for tag, attrs in tags if tag == "a"]
    assert links
    assert set(links) <= targets


def test_pictures_are_the_pixels_that_were_given(data):
    shown = Page(render_report(data)).images()
    given = [panel.image for figure in data.figures for panel in figure.panels]
    assert len(shown) == len(given)
    for one, other in zip(shown, given, strict=True):
        np.testing.assert_array_equal(one, other)


def test_disclaimer_and_warnings_come_before_everything_else(data):
    html = render_report(data)
    first_picture = html.index("<img")
    assert html.index(DISCLAIMER) < html.index(data.warnings[0]) < first_picture
    assert html.index(data.warnings[1]) < first_picture
    calm = render_report(replace(data, warnings=()))
    assert 'role="alert"' not in calm
    assert DISCLAIMER in calm


def test_what_is_synthetic_says_so(data):
    page = Page(render_report(data))
    captions = {attrs["alt"] for tag, attrs in page.tags if tag == "img"}
    assert captions == {"T1w", f"{SYNTHETIC_MARK} CE-T1w", "difference"}
    assert f"{SYNTHETIC_MARK} CE-T1w" in page.text  # the visible caption
    assert f"STIR {SYNTHETIC_MARK} made.nii.gz" in page.text
    assert "T1w real t1.nii.gz" in page.text


def test_the_page_says_what_was_understood_and_how_it_was_made(data):
    text = Page(render_report(data)).text
    for expected in (
        "post-gado 3T",
        "Understood as CE-T1w, 3 T, gadolinium",
        "confidence 97 %",
        "Registration 7.3 s",
        "CE-T1w.nii.gz the synthetic image",
        '"bundle_hash": "abc123"',
        "0.12 of the range",
    ):
        assert expected in text


def test_hostile_texts_stay_texts(data):
    clean = Page(render_report(data))
    data = replace(
        data,
        title=HOSTILE,
        case_name=HOSTILE,
        inputs=(ReportInput(HOSTILE, HOSTILE, HOSTILE, 0.5, HOSTILE), data.inputs[1]),
        targets=(ReportTarget(HOSTILE, HOSTILE, HOSTILE),),
        warnings=(HOSTILE, HOSTILE),
        figures=(
            Figure(HOSTILE, (Panel(picture(0), HOSTILE), Panel(picture(1), HOSTILE, True))),
            data.figures[1],
        ),
        files=((HOSTILE, HOSTILE),),
        uncertainty=(Uncertainty(HOSTILE, HOSTILE, HOSTILE),),
        provenance={HOSTILE: HOSTILE},
    )
    page = Page(render_report(data))
    assert [tag for tag, _ in page.tags] == [tag for tag, _ in clean.tags]
    assert page.text.count("<script>alert('x')</script>") >= 10


def test_comparisons_that_are_not_won_are_said(data):
    assert shortfalls(data.scores) == ["CE-T1w, tumour: copy of T1w is as good or better (SSIM)."]
    page = Page(render_report(data))
    assert "copy of T1w is as good or better (SSIM)" in page.text
    assert "MRISynth 0.0912 – 0.660" in page.text  # our row first, NaN as a dash
    won = tuple(replace(s, ssim=0.5) if not s.ours else s for s in data.scores)
    assert shortfalls(won) == []


def test_structures_that_were_not_found_are_listed(data):
    reference = Volume(np.zeros((4, 10, 10), np.float32), matrix_from_parts((1, 1, 2.5)))
    mask = np.zeros((4, 10, 10), bool)
    mask[0] = True  # 100 voxels of 2.5 mm3
    segmentation = Segmentation({"GTVp": mask, "Eye_L": np.zeros_like(mask)}, reference)
    rows = structure_rows(segmentation, dice={"GTVp": 0.8123})
    page = Page(render_report(replace(data, structures=rows)))
    assert "GTVp Primary gross tumour volume 0.25 0.81" in page.text
    assert "Eye_L Left eye not found –" in page.text
    assert "True volume" not in page.text


def test_parts_without_content_are_left_out():
    page = Page(render_report(ReportData("Title", "Case")))
    assert "Against the truth" not in page.text
    assert "Structures" not in page.text
    assert page.images() == []


@pytest.mark.parametrize(
    ("direction", "words"),
    [
        (np.eye(3), "axial"),
        ([[0, 0, 1], [1, 0, 0], [0, -1, 0]], "sagittal"),
        ([[1, 0, 0], [0, np.cos(0.3), -np.sin(0.3)], [0, np.sin(0.3), np.cos(0.3)]], "oblique by"),
    ],
)
def test_geometry_in_words(direction, words):
    matrix = matrix_from_parts((0.9, 0.8, 4.0), np.asarray(direction, float))
    volume = Volume(np.zeros((40, 224, 256), np.float32), matrix)
    text = describe_geometry(volume)
    assert text.startswith("256 × 224 × 40, 0.90 × 0.80 × 4.00 mm")
    assert words in text


def test_nothing_is_left_where_nothing_can_be_written(data, tmp_path):
    (tmp_path / "report.html").mkdir()
    with pytest.raises(OutputError):
        write_report(tmp_path / "report.html", data)
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


def test_composed_figures_keep_the_pixels_and_mark_synthetic_panels():
    large, small = picture(0, (60, 90)), picture(1, (40, 50))
    row = [Panel(large, "T1w"), Panel(small, "CE-T1w")]
    figure = compose([row, [Panel(large, "T2w")]])
    np.testing.assert_array_equal(figure[:60, :90], large)
    top, left = (60 - 40) // 2, figure.shape[1] - 90 + (90 - 50) // 2
    np.testing.assert_array_equal(figure[top : top + 40, left : left + 50], small)
    marked = compose([[row[0], Panel(small, "CE-T1w", True)], [Panel(large, "T2w")]])
    changed = np.argwhere((marked != figure).any(axis=2))
    # Only the caption under the marked panel differs.
    assert changed.size
    assert changed[:, 0].min() >= 60
    assert changed[:, 1].min() > 90


@pytest.mark.parametrize("image", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), float)])
def test_a_panel_takes_rgb_bytes_only(image):
    with pytest.raises(ValueError, match="uint8"):
        Panel(image, "x")
