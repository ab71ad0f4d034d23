"""What a visitor can take away: made when it is asked for, fetched once by the gateway's link."""

from __future__ import annotations

import secrets
import shutil
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from MRISynthLib import __version__, io
from MRISynthLib.errors import InputError
from MRISynthLib.panel import InputRow
from MRISynthLib.provenance import Provenance
from MRISynthLib.volume import Volume

from ..scene.demo_scene import DemoScene, build_scene
from ..scene.headless import HeadlessScene
from ..scene.render import render_3d, render_slice, render_view
from .archives import safe_name
from .desk import Desk, Image

FILES = {
    "scene": ("scene.mrb", "Scene for 3D Slicer (.mrb)"),
    "images": ("synthetic.zip", "Synthetic images and uncertainty (.nii.gz)"),
    "contours": ("segmentation.seg.nrrd", "Structures for 3D Slicer (.seg.nrrd)"),
    "rtstruct": ("rtstruct.dcm", "Structures for planning systems (RTSTRUCT)"),
    "report": ("report.html", "Report with pictures (.html)"),
}
"""Kind -> file name, and what it is."""

PICTURE = (420, 420)


@dataclass
class Downloads:
    """Makes files in ``folder``, each in a folder whose name cannot be guessed."""

    folder: Path

    def offered(self, desk: Desk) -> list[dict[str, str]]:
        """All kinds, each with the reason why it cannot be had now, if so."""
        return [
            {"kind": kind, "title": title, "reason": self.why_not(kind, desk)}
            for kind, (_, title) in FILES.items()
        ]

    def why_not(self, kind: str, desk: Desk) -> str:
        """One sentence; empty if it can be had."""
        made = [image for image in desk.images.values() if image.volume.is_synthetic]
        if not desk.images:
            return "There is nothing to download yet."
        if kind == "images" and not made:
            return "No synthetic image was made yet."
        if kind in ("contours", "rtstruct") and desk.segmentation is None:
            return "No structures were found yet."
        if kind == "rtstruct" and not _came_as_dicom(_image_behind(desk)):
            return (
                "RTSTRUCT refers to DICOM slices, and the image with the structures did not come "
                "as DICOM."
            )
        return ""

    def discard(self) -> None:
        """Remove what was made."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def make(self, kind: str, desk: Desk, focus_lps: Sequence[float]) -> str:
        """Write the file; its address below the page's own.

        Raises
        ------
        MRISynthError
            If it cannot be had or written.
        """
        if kind not in FILES:
            raise InputError("There is no such download.")
        if reason := self.why_not(kind, desk):
            raise InputError(reason)
        self.discard()  # the last one was fetched long ago
        key = secrets.token_hex(8)
        folder = self.folder / key
        folder.mkdir(mode=0o700, parents=True)
        path = folder / FILES[kind][0]
        write = {
            "scene": lambda: _write_scene(desk, path, focus_lps),
            "images": lambda: _write_images(desk, path),
            "contours": lambda: _write_contours(desk, path),
            "rtstruct": lambda: _write_rtstruct(desk, path),
            "report": lambda: _write_report(desk, path, focus_lps),
        }
        write[kind]()
        return f"download/{key}/{path.name}"


def _by_kind(desk: Desk) -> tuple[list[Volume], list[Volume], list[Volume]]:
    """Real, synthetic and uncertainty images, with the sequences that they are taken for."""
    rows = desk.rows()
    real = [desk.volume_of(row) for row in rows if not row.synthetic]
    synthetic = [desk.volume_of(row) for row in rows if row.synthetic]
    return real, synthetic, list(desk.uncertainty.values())


def _build(headless: HeadlessScene, desk: Desk, focus_lps: Sequence[float]) -> DemoScene:
    return build_scene(headless, *_by_kind(desk), desk.segmentation, focus_lps)


def _write_scene(desk: Desk, path: Path, focus_lps: Sequence[float]) -> None:
    with HeadlessScene() as headless:
        scene = _build(headless, desk, focus_lps)
        scene.save_mrb(path, render_view(headless, scene.views[-1], (256, 256)))


def _write_images(desk: Desk, path: Path) -> None:
    with zipfile.ZipFile(path, "x", zipfile.ZIP_STORED) as archive:
        names: dict[str, int] = {}
        for row in desk.rows():
            if not row.synthetic:
                continue
            stem = safe_name(row.sequence or row.name)
            names[stem] = names.get(stem, 0) + 1
            stem += f"-{names[stem]}" if names[stem] > 1 else ""
            _store(archive, path.parent, f"{stem}.nii.gz", desk.volume_of(row))
            if row.key in desk.uncertainty:
                doubt = desk.uncertainty[row.key]
                _store(archive, path.parent, f"{stem}_uncertainty.nii.gz", doubt)


def _store(archive: zipfile.ZipFile, folder: Path, name: str, volume: Volume) -> None:
    io.save(volume, folder / name)
    archive.write(folder / name, name)
    (folder / name).unlink()


def _write_contours(desk: Desk, path: Path) -> None:
    from MRISynthSegmentLib.io import save_segmentation

    save_segmentation(desk.segmentation, path)


def _came_as_dicom(image: Image | None) -> bool:
    return (
        image is not None and bool(image.files) and "SeriesInstanceUID" in image.volume.acquisition
    )


def _image_behind(desk: Desk) -> Image | None:
    """The image on whose grid the structures lie; real ones first."""
    if desk.segmentation is None:
        return None
    there = [
        image
        for image in desk.images.values()
        if image.volume.same_geometry(desk.segmentation.reference)
    ]
    return next((image for image in there if image.files), there[0] if there else None)


def _write_rtstruct(desk: Desk, path: Path) -> None:
    from MRISynthLib.io.dicom_source import dicom_files, find_source
    from MRISynthSegmentLib.rtstruct import write_rtstruct

    image = _image_behind(desk)
    source = find_source(dicom_files(image.files), image.volume)
    source.frame_of_reference()
    write_rtstruct(desk.segmentation, path, source)


def _write_report(desk: Desk, path: Path, focus_lps: Sequence[float]) -> None:
    from ..report import ReportData, ReportInput, ReportTarget, structure_rows, write_report

    rows = desk.rows()
    synthetic = [row for row in rows if row.synthetic]
    provenances = {row.key: desk.images[row.key].volume.provenance for row in synthetic}
    data = ReportData(
        title="MRISynth in the browser",
        case_name=rows[0].name,
        inputs=tuple(_input(ReportInput, desk, row) for row in rows if not row.synthetic),
        targets=tuple(_target(ReportTarget, row, provenances[row.key]) for row in synthetic),
        warnings=_warnings(desk),
        figures=_figures(desk, focus_lps),
        structures=structure_rows(desk.segmentation) if desk.segmentation is not None else (),
        software=f"MRISynth {__version__}",
        provenance={row.name: provenances[row.key].to_dict() for row in synthetic},
    )
    write_report(path, data)


def _input(report_input: Any, desk: Desk, row: InputRow) -> Any:
    confidence = None if row.chosen else row.confidence
    return report_input.from_volume(desk.volume_of(row), confidence, row.reason)


def _target(report_target: Any, row: InputRow, provenance: Provenance) -> Any:
    return report_target(row.sequence or row.name, provenance.prompt, provenance.understood)


def _warnings(desk: Desk) -> tuple[str, ...]:
    said = [text for image in desk.images.values() for text in image.volume.warnings]
    said += desk.segmentation.warnings if desk.segmentation is not None else ()
    return tuple(dict.fromkeys(said))


def _figures(desk: Desk, focus_lps: Sequence[float]) -> tuple:
    from ..report import Figure, Panel

    with HeadlessScene() as headless:
        scene = _build(headless, desk, focus_lps)
        first = (*scene.real, *scene.synthetic)[0]

        def drawn(node: Any, **options: Any) -> Any:
            return render_slice(
                headless, node, focus_lps=scene.focus_lps, reference=first, size=PICTURE, **options
            )

        panels = [Panel(drawn(node), node.GetName()) for node in scene.real]
        panels += [Panel(drawn(node), node.GetName(), synthetic=True) for node in scene.synthetic]
        text = "The same place in every image: where the views of the page were."
        figures = [Figure("Images", tuple(panels), text)]
        if scene.segmentation is not None:
            over = (scene.synthetic or scene.real)[0]
            panels = [
                Panel(
                    drawn(over, segmentations=[scene.segmentation], orientation=orientation),
                    f"{over.GetName()}, {orientation.lower()}",
                    synthetic=bool(scene.synthetic),
                )
                for orientation in ("Axial", "Coronal", "Sagittal")
            ]
            solid = render_3d(
                headless,
                segmentations=[scene.segmentation],
                focus_lps=scene.focus_lps,
                size=PICTURE,
            )
            panels.append(Panel(solid, "Structures in 3D"))
            figures.append(Figure("Structures", tuple(panels), columns=4))
    return tuple(figures)
