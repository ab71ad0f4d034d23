"""What the export part of the panel decides, apart from any window."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

EXPORT_TASK = "export"
"""The worker's name for what is asked of :mod:`.contour_tasks`."""


@dataclass(frozen=True)
class Format:
    """One way to write: ``name`` is the worker's, ``suffix`` that of the file, empty for a folder.

    ``is_image``: a synthetic image is written, and no contours.
    """

    name: str
    label: str
    suffix: str
    is_dicom: bool = False
    is_image: bool = False


FORMATS = (
    Format("rtstruct", "RTSTRUCT, for planning systems", ".rtstruct.dcm", is_dicom=True),
    Format("dicom-seg", "DICOM SEG", ".dicom-seg.dcm", is_dicom=True),
    Format("dicom-mr", "Synthetic series, DICOM MR", "", is_dicom=True, is_image=True),
    Format("seg.nrrd", "Slicer segmentation, .seg.nrrd", ".seg.nrrd"),
    Format("nii.gz", "NIfTI label map and masks", ".nii.gz"),
)
"""In the order of the list in the panel."""


def format_of(name: str) -> Format:
    """The format of this name; the first for an unknown one, as of another version's scene."""
    return next((each for each in FORMATS if each.name == name), FORMATS[0])


@dataclass(frozen=True)
class Plan:
    """What is going to be written, and where.

    Attributes
    ----------
    contours, structures:
        Name of the segmentation, empty without one, and how many segments it has.
    image, image_is_synthetic:
        Name of the image to write as a series, and whether a network made it.
    series, found:
        Name of the image behind it, and how many files of its series the DICOM database has.
    series_folder:
        Where the user says that this series is.
    has_database, wants_database:
        Whether Slicer's database is open, and whether the result should go there.
    folder:
        Where files go otherwise.
    patient_id, patient_name, nobody:
        Whose the image is where no series says it.
    """

    format: Format
    contours: str = ""
    structures: int = 0
    image: str = ""
    image_is_synthetic: bool = False
    series: str = ""
    found: int = 0
    series_folder: str = ""
    has_database: bool = False
    wants_database: bool = False
    folder: str = ""
    patient_id: str = ""
    patient_name: str = ""
    nobody: bool = False

    @property
    def has_series(self) -> bool:
        """Whether it is known where the series is."""
        return bool(self.found or self.series_folder)

    @property
    def asks_patient(self) -> bool:
        """Whether the user must say whose the image is."""
        return self.format.is_image and not self.has_series

    @property
    def into_database(self) -> bool:
        """Whether it goes into Slicer's DICOM database."""
        return self.format.is_dicom and self.has_database and self.wants_database

    def series_text(self) -> str:
        """What is known of the series behind it."""
        if not self.series:
            return ""
        if self.found:
            return f"{self.series}: {self.found} files in Slicer's DICOM database"
        if self.series_folder:
            return f"{self.series}, in the folder below"
        return f"{self.series} was not loaded from Slicer's DICOM database"

    def why_disabled(self, *, running: bool = False, changing: bool = False) -> str:
        """Why nothing can be written; empty if it can. ``changing``: a result or a click is about
        to change the contours."""
        if running:
            return "An export is running; wait for it or press Cancel."
        if changing and self.contours and not self.format.is_image:
            return f"{self.contours} is being changed; wait until that is done."
        return self._content_problem() or self._series_problem() or self._place_problem()

    def _content_problem(self) -> str:
        if self.format.is_image:
            if not self.image:
                return "Choose the synthetic image to write."
            if not self.image_is_synthetic:
                return f"{self.image} is a real image; only synthetic ones are written as a series."
            return ""
        if not self.contours:
            return "Choose a segmentation under Result."
        return "" if self.structures else f"{self.contours} has no structures."

    def _series_problem(self) -> str:
        if self.asks_patient:
            if self.nobody or (self.patient_id.strip() and self.patient_name.strip()):
                return ""
            return (
                f"{self.image} does not say whose it is: choose the folder of the DICOM series it "
                "was made from, state patient ID and name, or write it as nobody's."
            )
        if self.format.is_dicom and not self.has_series:
            return (
                "Contours in DICOM refer to the slices of a DICOM series: choose the folder of the "
                f"series of {self.series or 'the image on which they were drawn'}."
            )
        return ""

    def _place_problem(self) -> str:
        return "" if self.into_database or self.folder else "Choose a folder to write into."

    def study(self) -> dict[str, str] | None:
        """Whose the image is, as the worker's task takes it."""
        if not self.asks_patient:
            return None
        if self.nobody:
            return {}
        return {
            "patient_id": self.patient_id.strip(),
            "patient_name": self.patient_name.strip(),
        }

    def target(self, folder: str | Path) -> Path:
        """A file or folder in ``folder`` that is not there yet, named after what is written."""
        text = self.image if self.format.is_image else self.contours
        stem = re.sub(r"[^\w.+-]+", "_", text).strip("._") or "export"
        number, path = 2, Path(folder) / f"{stem}{self.format.suffix}"
        while path.exists():
            path = Path(folder) / f"{stem}_{number}{self.format.suffix}"
            number += 1
        return path
