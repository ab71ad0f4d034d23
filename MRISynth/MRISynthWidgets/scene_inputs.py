"""The scene's volumes as lines of the input table, with what the user set for each.

Choices are kept as attributes of the volume nodes: they are saved with the scene, go away
with the node, and the sequence that the user chose counts in both modules.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import slicer
import vtk

from MRISynthLib.errors import InputError
from MRISynthLib.panel import InputRow, row_of
from MRISynthLib.sequence_table import SEQUENCE_NAMES

if TYPE_CHECKING:
    from MRISynthLib.volume import Volume

CHOSEN_ATTRIBUTE = "MRISynth.ChosenSequence"
TICKED_ATTRIBUTE = "{module}.Input"

DICOM_TAGS = {
    "Modality": "0008,0060",
    "Manufacturer": "0008,0070",
    "SeriesDescription": "0008,103E",
    "ContrastBolusAgent": "0018,0010",
    "BodyPartExamined": "0018,0015",
    "ScanningSequence": "0018,0020",
    "SequenceVariant": "0018,0021",
    "ScanOptions": "0018,0022",
    "SequenceName": "0018,0024",
    "ProtocolName": "0018,1030",
}
DICOM_NUMBERS = {
    "RepetitionTime": "0018,0080",
    "EchoTime": "0018,0081",
    "InversionTime": "0018,0082",
    "MagneticFieldStrength": "0018,0087",
    "FlipAngle": "0018,1314",
}
"""What recognition looks at, by keyword, and where Slicer's DICOM database has it."""
DICOM_PATIENT_ID = "0010,0020"
DICOM_STUDY_UID = "0020,000D"
DICOM_FRAME_OF_REFERENCE = "0020,0052"


def dicom_values(node, tags: Mapping[str, str]) -> dict[str, str]:
    """What the DICOM headers of a volume say at ``tags``, by their keywords, if Slicer's database
    has them."""
    instances = (node.GetAttribute("DICOM.instanceUIDs") or "").split()
    database = getattr(slicer, "dicomDatabase", None)
    if not instances or database is None or not database.isOpen:
        return {}
    return {
        keyword: database.instanceValue(instances[0], tag).strip() for keyword, tag in tags.items()
    }


def dicom_acquisition(node) -> dict[str, str | float]:
    """What the DICOM headers of a volume say of how it was taken."""
    acquisition: dict[str, str | float] = {}
    for keyword, value in dicom_values(node, DICOM_TAGS | DICOM_NUMBERS).items():
        if keyword in DICOM_NUMBERS:
            try:
                acquisition[keyword] = float(value)
            except ValueError:
                continue
        elif value:
            acquisition[keyword] = value
    return acquisition


def patient_of(node) -> str:
    """What tells a volume's patient from others; empty if not known.

    What Slicer's Data module shows is asked first: there the user can put right whose it is.
    """
    from MRISynthLib.node_attributes import sources_of

    patient = _patient_in_hierarchy(node)
    patient = patient or dicom_values(node, {"PatientID": DICOM_PATIENT_ID}).get("PatientID", "")
    # Attributes of a node are written into its image file, where a patient's ID must not be.
    return patient or next(filter(None, map(patient_of, sources_of(node))), "")


def study_of(node) -> str:
    """What tells a volume's study from others of its patient; empty if not known. Asked as
    :func:`patient_of` is."""
    from MRISynthLib.node_attributes import sources_of

    study = _study_in_hierarchy(node)
    study = study or dicom_values(node, {"Study": DICOM_STUDY_UID}).get("Study", "")
    return study or next(filter(None, map(study_of, sources_of(node))), "")


def frame_of_reference_of(node) -> str:
    """The UID of the frame in which a volume's coordinates hold; empty if it is not known, or if
    the volume was moved out of it."""
    if node.GetParentTransformNode() is not None:
        return ""
    return dicom_values(node, {"Frame": DICOM_FRAME_OF_REFERENCE}).get("Frame", "")


def _above(node, level: str) -> tuple:
    """The Data module's tree, and the item of a level above a node; 0 if there is none."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    item = hierarchy.GetItemByDataNode(node) if hierarchy is not None else 0
    return hierarchy, item and hierarchy.GetItemAncestorAtLevel(item, level)


def _study_in_hierarchy(node) -> str:
    names = slicer.vtkMRMLSubjectHierarchyConstants
    hierarchy, study = _above(node, names.GetDICOMLevelStudy())
    if not study:
        return ""
    return hierarchy.GetItemUID(study, names.GetDICOMUIDName()).strip() or str(study)


def _patient_in_hierarchy(node) -> str:
    names = slicer.vtkMRMLSubjectHierarchyConstants
    hierarchy, patient = _above(node, names.GetDICOMLevelPatient())
    if not patient:
        return ""
    return (
        hierarchy.GetItemAttribute(patient, names.GetDICOMPatientIDAttributeName()).strip()
        or hierarchy.GetItemUID(patient, names.GetDICOMUIDName()).strip()
        or hierarchy.GetItemName(patient).strip()
    )


class SceneInputs:
    """The volumes of the scene for one module."""

    def __init__(self, module: str) -> None:
        self.sequences: tuple[str, ...] = SEQUENCE_NAMES
        self._ticked_attribute = TICKED_ATTRIBUTE.format(module=module)
        self._cache: dict[str, tuple[int, InputRow]] = {}

    def rows(self) -> tuple[InputRow, ...]:
        """One line for each scalar volume that the user can see in the scene."""
        from MRISynthLib.node_attributes import source_ids_of

        rows = {}
        for node in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode"):
            # Label maps and colour images are scalar volumes too, by inheritance.
            if node.GetClassName() == "vtkMRMLScalarVolumeNode" and not node.GetHideFromEditors():
                row = self._row(node)
                # a volume does not change when it is moved to a patient
                rows[node.GetID()] = row and replace(
                    row,
                    patient=patient_of(node),
                    study=study_of(node),
                    made_from=source_ids_of(node),
                )
        self._cache = {key: value for key, value in self._cache.items() if key in rows}
        return tuple(row for row in rows.values() if row is not None)

    def _row(self, node) -> InputRow | None:
        key, changed = node.GetID(), node.GetMTime()
        if key in self._cache and self._cache[key][0] == changed:
            return self._cache[key][1]
        row = self._read(node)
        self._cache[key] = (changed, row)
        return row

    def _read(self, node) -> InputRow | None:
        from MRISynthLib import mrml

        ticked = node.GetAttribute(self._ticked_attribute)
        choices = {
            "chosen": node.GetAttribute(CHOSEN_ATTRIBUTE),
            "ticked": None if ticked is None else ticked == "1",
        }
        try:
            volume = mrml.volume_from_node(node)
        except InputError as error:
            return InputRow(node.GetID(), node.GetName(), problem=str(error), **choices)
        if not volume.acquisition:
            volume = volume.replace(acquisition=dicom_acquisition(node))
        if volume.provenance is not None and volume.provenance.kind != "image":
            return None  # an uncertainty map or an unfinished image
        return row_of(volume, node.GetID(), **choices)

    def state(self, row: InputRow) -> tuple:
        """What changes with a volume's voxels, place and sequence, and with nothing else."""
        node = slicer.mrmlScene.GetNodeByID(row.key)
        image = node.GetImageData() if node is not None else None
        if image is None:
            return (row.key,)
        place = vtk.vtkMatrix4x4()
        node.GetIJKToRASMatrix(place)
        corners = tuple(place.GetElement(i, j) for i in range(3) for j in range(4))
        transform = node.GetParentTransformNode()
        moved = transform.GetTransformToWorldMTime() if transform is not None else 0
        return (row.key, image.GetMTime(), corners, moved, row.sequence)

    def files(self, key: str) -> list[str]:
        """The DICOM files that a volume was loaded from, if Slicer's database has them."""
        node = slicer.mrmlScene.GetNodeByID(key)
        instances = ((node and node.GetAttribute("DICOM.instanceUIDs")) or "").split()
        database = getattr(slicer, "dicomDatabase", None)
        if not instances or database is None or not database.isOpen:
            return []
        return [path for path in map(database.fileForInstance, instances) if path]

    def set_ticked(self, key: str, ticked: bool | None) -> None:
        """Remember that the user wants a volume as input, or does not; None forgets it."""
        value = None if ticked is None else "1" if ticked else "0"
        self._set(key, self._ticked_attribute, value)

    def set_chosen(self, key: str, sequence: str | None) -> None:
        """Remember the sequence that the user chose; None goes back to recognition."""
        self._set(key, CHOSEN_ATTRIBUTE, sequence)

    @staticmethod
    def _set(key: str, attribute: str, value: str | None) -> None:
        node = slicer.mrmlScene.GetNodeByID(key)
        if node is None:
            return  # deleted between the click and now
        if value is None:
            node.RemoveAttribute(attribute)
        else:
            node.SetAttribute(attribute, value)

    def volumes(self, used: Sequence[InputRow]) -> list[Volume]:
        """The chosen inputs with their sequences, in the table's order.

        Raises
        ------
        InputError
            If a volume is gone or cannot be used.
        """
        from MRISynthLib import mrml

        volumes = []
        for row in used:
            node = slicer.mrmlScene.GetNodeByID(row.key)
            if node is None:
                raise InputError(f"The volume '{row.name}' is not in the scene any more; load it.")
            # headers too: what is not asked for is taken from them
            volume = mrml.volume_from_node(node)
            volumes.append(volume.replace(sequence=row.sequence, acquisition=row.acquisition))
        return volumes
