"""Slicer's DICOM database, where it is there: files of a series, and new files for it."""

from __future__ import annotations

import slicer

from MRISynthLib.errors import OutputError


class DicomDatabase:
    """What an export asks of the database; quick to ask again."""

    def __init__(self) -> None:
        self._files: dict[str, tuple[str, ...]] = {}

    @property
    def is_open(self) -> bool:
        """Whether there is one, and it can take files."""
        database = getattr(slicer, "dicomDatabase", None)
        return database is not None and bool(database.isOpen)

    def files_of(self, node) -> tuple[str, ...]:
        """The files from which a volume node was loaded; none if the database has them not."""
        instances = (node.GetAttribute("DICOM.instanceUIDs") or "") if node is not None else ""
        if not instances or not self.is_open:
            return ()
        if instances not in self._files:
            found = (slicer.dicomDatabase.fileForInstance(uid) for uid in instances.split())
            self._files[instances] = tuple(file for file in found if file)
        return self._files[instances]

    def forget(self) -> None:
        """Ask anew: what is in the database may have changed."""
        self._files.clear()

    def add(self, folder: str) -> None:
        """Copy all DICOM files in a folder into the database.

        Raises
        ------
        OutputError
            If Slicer could not do it.
        """
        from DICOMLib import DICOMUtils

        if not self.is_open or not DICOMUtils.importDicom(folder, copyFiles=True):
            raise OutputError(
                "Slicer's DICOM database did not take the files; export them to a folder instead."
            )
