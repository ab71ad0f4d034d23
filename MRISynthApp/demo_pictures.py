"""The demonstration's scene, and the pictures of its report, drawn by Slicer's own code."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from MRISynthLib.mrml import node_from_volume

from .demo_report import difference, network_scale
from .focus import place_to_show
from .report import Figure, Panel
from .scene.demo_scene import DemoScene, build_scene
from .scene.headless import HeadlessScene
from .scene.render import RenderingUnavailable, render_3d, render_slice, render_view

if TYPE_CHECKING:
    from .demo import DemoCase
    from .session import Session

SIZE = (420, 420)
DIFFERENCE_PERCENT = 30.0
"""Errors from this per cent of the grey scale on are white in pictures of errors."""


def scene_and_figures(case: DemoCase, path: Path, run: Session) -> tuple[Figure, ...]:
    """Write ``scene.mrb`` and return the report's figures; none where nothing can be drawn."""
    with HeadlessScene() as headless:
        scene = build_scene(
            headless,
            case.given,
            list(case.synthetic.values()),
            list(case.uncertainty.values()),
            case.segmentation,
            place_to_show(case.given[0], case.segmentation, case.covered),
        )
        thumbnail = None
        try:
            thumbnail = render_view(headless, scene.views[-1], (256, 256))
        except RenderingUnavailable as error:
            run.warn(f"The report has no pictures. {error}")
        scene.save_mrb(path, thumbnail)
        if thumbnail is None:
            return ()
        # What follows adds nodes for pictures only: the scene is already on disk.
        run.check()
        return (
            _side_by_side(case, scene),
            _structures(case, scene),
            *_against_truth(case, scene),
            _uncertainty(case, scene),
        )


def _slice(scene: DemoScene, node: Any, **options: Any) -> np.ndarray:
    return render_slice(
        scene.headless,
        node,
        focus_lps=scene.focus_lps,
        reference=scene.real[0],
        size=SIZE,
        **options,
    )


def _side_by_side(case: DemoCase, scene: DemoScene) -> Figure:
    origin = "simulated" if case.simulated else "as given"
    panels = [
        Panel(_slice(scene, node), f"{volume.sequence}, {origin}", synthetic=volume.is_synthetic)
        for node, volume in zip(scene.real, case.given, strict=True)
    ]
    panels += [
        Panel(_slice(scene, node), name, synthetic=True)
        for node, name in zip(scene.synthetic, case.targets, strict=True)
    ]
    text = (
        "The same place in every image, where all inputs reach: the middle of the tumour if one "
        "was found."
    )
    return Figure("Inputs and synthetic images", tuple(panels), text, columns=len(panels))


def _structures(case: DemoCase, scene: DemoScene) -> Figure:
    background = scene.synthetic[0]
    panels = [
        Panel(
            _slice(scene, background, segmentations=[scene.segmentation], orientation=orientation),
            f"{case.targets[0]}, {orientation.lower()}",
            synthetic=True,
        )
        for orientation in ("Axial", "Coronal", "Sagittal")
    ]
    picture = render_3d(
        scene.headless,
        segmentations=[scene.segmentation],
        focus_lps=scene.focus_lps,
        size=SIZE,
    )
    panels.append(Panel(picture, "Structures in 3D, from the patient's left front"))
    text = "Found by a network in real and synthetic images together."
    return Figure("Tumour and organs at risk", tuple(panels), text, columns=4)


def _against_truth(case: DemoCase, scene: DemoScene) -> list[Figure]:
    figures = []
    for node, name in zip(scene.synthetic, case.targets, strict=True):
        if name not in case.truth:
            continue
        truth = node_from_volume(case.truth[name], scene.headless.scene)
        error = _grey(scene, difference(case, name), DIFFERENCE_PERCENT)
        panels = (
            Panel(_slice(scene, truth), f"{name} as it should be (simulated)"),
            Panel(_slice(scene, node), name, synthetic=True),
            Panel(
                _slice(scene, error),
                f"Absolute difference, white from {DIFFERENCE_PERCENT:.0f} % of the grey scale",
            ),
        )
        figures.append(Figure(f"{name} beside the truth", panels))
    return figures


def _uncertainty(case: DemoCase, scene: DemoScene) -> Figure:
    panels = []
    for name in case.targets:
        doubt = case.uncertainty[name]
        percent = network_scale(case, name, doubt.voxels, offset=False) * 100
        node = _grey(scene, doubt.with_voxels(percent), DIFFERENCE_PERCENT)
        caption = f"Uncertainty of {name}, white from {DIFFERENCE_PERCENT:.0f} % of the grey scale"
        panels.append(Panel(_slice(scene, node), caption, synthetic=True))
    text = "The error that the network expects of itself: doubt these images where it is bright."
    return Figure("Uncertainty", tuple(panels), text, columns=3)


def _grey(scene: DemoScene, volume: Any, white: float) -> Any:
    """A node shown from black at 0 to white at ``white``."""
    node = node_from_volume(volume, scene.headless.scene)
    display = node.GetDisplayNode()
    display.SetAutoWindowLevel(False)
    display.SetWindowLevelMinMax(0.0, white)
    display.SetAndObserveColorNodeID("vtkMRMLColorTableNodeGrey")
    return node
