"""Pictures of an evaluation of delineation: outlines, found and true, over an image."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from .comparison_picture import NAME, draw_outlines

if TYPE_CHECKING:
    from MRISynthSegmentLib.evaluation.pictures import Picture


def draw_picture(picture: Picture, folder: Path) -> tuple[Path, ...]:
    """One PNG, or several numbered ones where there are many structures; none without an outline.

    The truth is the solid blue line, what was found the broken orange one.
    """
    files = []
    with tempfile.TemporaryDirectory() as place:
        drawn = draw_outlines(picture.comparison, picture.truth, picture.found, Path(place))
        for path in drawn:
            files.append(Path(folder) / path.name.replace(NAME, picture.name, 1))
            shutil.move(path, files[-1])
    return tuple(files)
