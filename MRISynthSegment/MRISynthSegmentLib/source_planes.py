"""Where the slices of an image lie by the headers of the DICOM series that it was read from."""

from __future__ import annotations

import numpy as np

from MRISynthLib.errors import InputError
from MRISynthLib.io.dicom_references import frames_in
from MRISynthLib.io.dicom_source import DicomSource
from MRISynthLib.io.stacking import POSITION_TOLERANCE_MM
from MRISynthLib.volume import Volume


def slice_matrices(source: DicomSource, image: Volume) -> np.ndarray:
    """(slices, 4, 4) that take (column, row, slice, 1) of the image to LPS mm, each by the header
    of its slice: contours then lie on the planes of the series to the last digit.

    Raises
    ------
    InputError
        If the image's grid is not the series'.
    """
    label = image.name or "The image"
    refusal = InputError(
        f"{label} does not have the slices of the series '{source.name}', so its contours cannot "
        "be written for it; give the series that it was read from."
    )
    if len(source.slices) != image.shape[0]:
        raise refusal
    rows, columns = image.shape[1:]
    matrices = np.tile(image.index_to_world, (len(source.slices), 1, 1))
    for k, (frame, matrix) in enumerate(zip(frames_in(source), matrices, strict=True)):
        if frame.size != (rows, columns):
            raise refusal
        steps = frame.axes * np.reshape(frame.pixel_spacing, (2, 1))
        position = frame.position
        for axis, count in ((1, rows), (2, columns)):
            if axis in source.turned:
                position = position + steps[2 - axis] * (count - 1)
                steps[2 - axis] *= -1
        matrix[:3, :2] = steps.T
        matrix[:3, 3] = position - k * matrix[:3, 2]
    ends = np.array([(i, j, 0, 1) for i in (0, columns - 1) for j in (0, rows - 1)], float)
    tolerance = POSITION_TOLERANCE_MM + 0.5 * image.spacing[:2].min()  # as find_source has it
    for k, matrix in enumerate(matrices):
        ends[:, 2] = k
        if np.abs(ends @ (matrix - image.index_to_world).T).max() > tolerance:
            raise refusal
    return matrices
