"""``mrisynth simulate --gallery``: simulated patients, beside real scans if given, at the same
levels and in the same grey scale, so that an eye can judge the simulation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from MRISynthLib.errors import InputError
from MRISynthLib.volume import Volume

LEVELS_MM = {"ventricles": 42.0, "orbits": 0.0, "nasopharynx": -30.0, "jaw": -62.0}
"""Heights above the middle of the eyes."""

WIDTH_MM, HEIGHT_MM, PIXEL_MM = 190.0, 230.0, 1.0
MARGIN = 20
"""Pixels for the labels above and left of the images."""


def draw_gallery(
    path: Path,
    patients: Sequence[Any],
    sequences: Sequence[str],
    real: Sequence[Volume] = (),
) -> None:
    """Write a PNG: a row for each sequence and level, a column for each patient and real scan.

    Parameters
    ----------
    patients:
        Simulated (:class:`MRISynthLib.simulation.cases.VirtualPatient`), with all ``sequences``.
    real:
        Scans with their sequence; each appears in the rows of its own.

    Raises
    ------
    InputError
        If no eyes can be found in a real scan, by which its levels are known.
    OutputError
        If the file cannot be written.
    """
    from PIL import Image, ImageDraw

    from MRISynthLib.io.output import staged_file

    columns = [(patient.name, patient.volumes, _eyes_of(patient)) for patient in patients]
    columns += [
        (f"real: {volume.name}", {volume.sequence: volume}, find_eyes(volume)) for volume in real
    ]
    rows = [(sequence, level) for sequence in sequences for level in LEVELS_MM]
    high, wide = round(HEIGHT_MM / PIXEL_MM), round(WIDTH_MM / PIXEL_MM)
    sheet = Image.new("L", (MARGIN + wide * len(columns), MARGIN + high * len(rows)), 0)
    text = ImageDraw.Draw(sheet)
    for column, (name, volumes, eyes) in enumerate(columns):
        text.text((MARGIN + column * wide + 4, 4), name, fill=255)
        windows = {key: window(volume) for key, volume in volumes.items()}
        for row, (sequence, level) in enumerate(rows):
            if sequence in volumes:
                image = axial(volumes[sequence], eyes + np.array((0, 0, LEVELS_MM[level])))
                grey = (255 * (image / windows[sequence]).clip(0, 1)).astype(np.uint8)
                place = (MARGIN + column * wide, MARGIN + row * high)
                sheet.paste(Image.fromarray(grey), place)
    for row, (sequence, level) in enumerate(rows):
        label = Image.new("L", (high, MARGIN), 0)
        ImageDraw.Draw(label).text((4, 4), f"{sequence}, {level}", fill=255)
        sheet.paste(label.rotate(90, expand=True), (0, MARGIN + row * high))
    with staged_file(path) as file:
        sheet.save(file, "PNG")


def window(volume: Volume) -> float:
    """The grey value that is shown white: what is hardly exceeded in the body."""
    from MRISynthLib.preprocessing.background import body_mask

    inside = volume.voxels[body_mask(volume.voxels)]
    return float(np.percentile(inside, 99.3)) if inside.size else 1.0


def axial(volume: Volume, centre: np.ndarray) -> np.ndarray:
    """Axial image (rows to posterior, columns to the patient's left) about ``centre`` (LPS mm).

    The head's middle lies some 6 cm behind the eyes.
    """
    from scipy import ndimage

    x = np.arange(-WIDTH_MM / 2, WIDTH_MM / 2, PIXEL_MM)
    y = np.arange(-HEIGHT_MM / 2, HEIGHT_MM / 2, PIXEL_MM) + 62.0
    grid = np.stack(np.meshgrid(x, y), -1).reshape(-1, 2)
    points = np.column_stack((grid, np.zeros(len(grid)))) + centre
    inverse = np.linalg.inv(volume.index_to_world)
    index = points @ inverse[:3, :3].T + inverse[:3, 3]
    image = ndimage.map_coordinates(
        np.asarray(volume.voxels, np.float32), index.T[::-1], order=1, cval=0.0
    )
    return image.reshape(len(y), len(x))


def find_eyes(volume: Volume) -> np.ndarray:
    """Middle between the eyes of a real scan (LPS mm), as the shipped model finds them."""
    from MRISynthLib.bundles import load_bundle
    from MRISynthSegmentLib.segmenter import Segmenter

    segmenter = Segmenter(load_bundle(None, "segmentation"), "cpu")
    masks = segmenter.segment([volume], ["Eye_L", "Eye_R"]).segmentation.masks
    return _middle(masks, volume)


def _eyes_of(patient: Any) -> np.ndarray:
    reference = next(iter(patient.volumes.values()))
    try:
        return _middle(patient.segmentation_masks, reference)
    except InputError:  # cut off by the field of view: head coordinates say where they would be
        return np.array((0.0, -61.0, 0.0))


def _middle(masks: dict[str, np.ndarray], volume: Volume) -> np.ndarray:
    centres = []
    for name in ("Eye_L", "Eye_R"):
        voxels = np.argwhere(masks.get(name, np.zeros(0)))
        if len(voxels) == 0:
            raise InputError(
                f"No eyes were found in {volume.name}, by which the gallery aligns the images; "
                "choose a scan of the head."
            )
        matrix = volume.index_to_world
        centres.append(matrix[:3, :3] @ voxels.mean(0)[::-1] + matrix[:3, 3])
    return np.mean(centres, 0)
