"""NRRD files through pynrrd."""

from __future__ import annotations

import re
import zlib
from pathlib import Path
from typing import Any

import nrrd
import numpy as np

from ..errors import InputError
from ..provenance import Provenance
from ..sequences import SEQUENCES
from ..volume import Volume
from . import metadata
from .nifti import check_shape, native, storable

_SIGNS = {
    "left-posterior-superior": (1, 1, 1),
    "lps": (1, 1, 1),
    "right-anterior-superior": (-1, -1, 1),
    "ras": (-1, -1, 1),
    "left-anterior-superior": (1, -1, 1),
    "las": (1, -1, 1),
}


def read_nrrd(path: Path) -> Volume:
    """The 3D image in an NRRD file (LPS, RAS or LAS space).

    Raises
    ------
    InputError
        If the file is damaged, not a single 3D image, coloured, a segmentation, or has no space.
    """
    try:
        voxels, header = nrrd.read(str(path), index_order="C")
    except (
        nrrd.NRRDError,
        OSError,
        EOFError,
        ValueError,
        KeyError,
        IndexError,
        TypeError,
        AttributeError,
        MemoryError,
        zlib.error,
    ) as error:
        raise InputError(
            f"{path} is truncated, damaged or not an NRRD file; export or copy it again."
        ) from error
    if any(key.startswith("Segment0_") for key in header):
        raise InputError(f"{path} is a segmentation, not an image; give the image itself.")
    voxels, directions = _single_image(path, voxels, header)
    signs = _SIGNS.get(str(header.get("space", "")).casefold())
    origin = np.asarray(header.get("space origin", (np.nan,) * 3), float)
    if signs is None or directions is None or origin.shape != (3,) or not np.isfinite(origin).all():
        raise InputError(
            f"{path} has no orientation that can be used (space, space directions and space "
            "origin are needed); save it again from Slicer or convert it again from DICOM."
        )
    matrix = np.eye(4)
    matrix[:3, :3] = (directions * np.asarray(signs)).T
    matrix[:3, 3] = origin * signs
    kept = metadata.from_header_text(str(header.get(metadata.HEADER_KEY, "")))
    if not kept and str(header.get("MRISynth_synthetic", "")) == "true":
        sequence = header.get("MRISynth_sequence")
        sequence = sequence if sequence in SEQUENCES else None
        lost = ("The full provenance was lost in another program.",)
        provenance = Provenance(synthetic=True, sequence=sequence, warnings=lost)
        kept = {"sequence": sequence, "provenance": provenance}
    return Volume(
        native(voxels),
        matrix,
        name=path.name,
        acquisition=dict(metadata.folder_hint(path.parent)),
        **kept,
    )


def _single_image(
    path: Path, voxels: np.ndarray, header: dict[str, Any]
) -> tuple[np.ndarray, np.ndarray | None]:
    """Voxels as (slice, row, column), and the space directions as rows (None if incomplete)."""
    sizes = voxels.shape[::-1]  # NRRD names the fastest axis first, NumPy last
    kinds = [str(kind).casefold() for kind in header.get("kinds", ())] or [""] * len(sizes)
    rows = [_direction(row) for row in header.get("space directions", [None] * len(sizes))]
    spatial = [axis for axis, row in enumerate(rows) if row is not None]
    if len(spatial) != 3:
        spatial = list(range(min(3, len(sizes))))
    for axis, kind in enumerate(kinds):
        if sizes[axis] > 1 and ("color" in kind or "rgb" in kind):
            raise InputError(
                f"{path} is a colour (RGB) image; MRISynth needs the original grey image."
            )
        if sizes[axis] > 1 and re.search(r"vector|normal|matrix|complex|quaternion|point", kind):
            raise InputError(
                f"{path} holds {kind} values, not grey values; export one component of them."
            )
    others = [sizes[axis] for axis in range(len(sizes)) if axis not in spatial]
    check_shape(path, (*(sizes[axis] for axis in spatial), *others), voxels.dtype)
    voxels = voxels.reshape([sizes[axis] for axis in reversed(spatial)])
    directions = [rows[axis] for axis in spatial]
    if any(row is None for row in directions):
        return voxels, None
    return voxels, np.array(directions)


def _direction(row: Any) -> np.ndarray | None:
    if row is None:
        return None
    vector = np.asarray(row, float)
    return vector if vector.shape == (3,) and np.isfinite(vector).all() else None


def write_nrrd(volume: Volume, path: Path) -> None:
    """Write ``volume``; the caller takes care that ``path`` is a private name."""
    matrix = volume.index_to_world
    header: dict[str, Any] = {
        "space": "left-posterior-superior",
        "space directions": matrix[:3, :3].T,
        "space origin": matrix[:3, 3],
        "kinds": ["domain", "domain", "domain"],
        "encoding": "gzip",
        metadata.HEADER_KEY: metadata.header_text(volume),
        "MRISynth_sequence": volume.sequence or "",
        "MRISynth_synthetic": "true" if volume.is_synthetic else "false",
    }
    if volume.provenance is not None:
        header["MRISynth_summary"] = volume.provenance.summary()
    nrrd.write(str(path), storable(volume.voxels), header, index_order="C", compression_level=4)
