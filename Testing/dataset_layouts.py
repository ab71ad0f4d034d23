"""Small folders in the published layouts of the public datasets, made from a simulated patient."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import slicerio
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid

from MRISynthLib.io import save
from MRISynthLib.simulation.tissues import TISSUES
from MRISynthLib.volume import Volume, matrix_from_parts

STEP = 3
SLICES = slice(4, 36, 2)
"""Of the simulated pixels every third is taken, and of the slices every other."""


DRAWN = (
    "GTVp", "Brain", "Brainstem", "SpinalCord", "Bone_Mandible", "Eye_L", "Eye_R",
    "Lobe_Temporal_L", "Lobe_Temporal_R", "Parotid_L", "Parotid_R",
)  # fmt: skip
"""Structures that a person here has; all are there."""


@dataclass(frozen=True)
class Person:
    """Images and masks on one small grid."""

    volumes: dict[str, Volume]
    masks: dict[str, np.ndarray]

    def moved(self, shift_mm: tuple[float, float, float], *sequences: str) -> Person:
        """The same with some images (and what is drawn on them) lying elsewhere."""
        move = matrix_from_parts((1, 1, 1), None, shift_mm)
        volumes = {
            name: volume.replace(index_to_world=move @ volume.index_to_world)
            if name in sequences
            else volume
            for name, volume in self.volumes.items()
        }
        return replace(self, volumes=volumes)


def person(patient, factor: float = 1.0) -> Person:
    """A simulated patient on fewer voxels, with a CT; another ``factor`` is another person."""
    volumes = {}
    for name in ("T1w", "T2w", "CE-T1w"):
        volume = patient.volumes[name]
        voxels = np.rint(volume.voxels[SLICES, ::STEP, ::STEP] * factor).astype(np.int16)
        spacing = volume.spacing * (STEP, STEP, SLICES.step)
        origin = volume.origin + SLICES.start * volume.index_to_world[:3, 2]
        volumes[name] = Volume(voxels, matrix_from_parts(spacing, None, origin), name, name)
    bright = volumes["T1w"]
    hounsfield = np.where(bright.voxels < 60 * factor, -1000, bright.voxels // 4)
    volumes["CT"] = bright.replace(voxels=hounsfield.astype(np.int16), sequence="CT", name="CT")
    masks = {
        name: mask[SLICES, ::STEP, ::STEP] for name, mask in patient.segmentation_masks.items()
    }
    return Person(volumes, {name: mask for name, mask in masks.items() if mask.sum() > 5})


def write_mask(path: Path, mask: np.ndarray, image: Volume, values=(0, 1), dtype=np.uint8) -> None:
    """A NIfTI mask on the grid of ``image`` with two chosen values."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save(Volume(np.where(mask, values[1], values[0]).astype(dtype), image.index_to_world), path)


def write_image(path: Path, image: Volume) -> None:
    """An image without the header text in which this product keeps its sequence."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save(Volume(image.voxels, image.index_to_world), path)


def write_series(folder: Path, image: Volume, uid: str, **attributes) -> None:
    """A DICOM series of axial slices; file names run against the slice order."""
    folder.mkdir(parents=True, exist_ok=True)
    count = len(image.voxels)
    for index, pixels in enumerate(image.voxels):
        data = Dataset()
        data.SOPClassUID, data.SOPInstanceUID = MRImageStorage, generate_uid()
        data.StudyInstanceUID, data.SeriesInstanceUID = "1.2.3", uid
        data.Modality, data.PatientID, data.PatientName = "MR", "anonymous", "anonymous"
        data.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        position = image.index_to_world @ (0, 0, index, 1)
        data.ImagePositionPatient = [round(float(value), 6) for value in position[:3]]
        data.PixelSpacing = [float(image.spacing[1]), float(image.spacing[0])]
        data.SliceThickness = float(image.spacing[2])
        data.Rows, data.Columns = pixels.shape
        data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
        data.BitsAllocated = data.BitsStored = 16
        data.HighBit, data.PixelRepresentation = 15, 1
        data.PixelData = pixels.astype(np.int16).tobytes()
        for keyword, value in attributes.items():
            setattr(data, keyword, value)
        data.file_meta = FileMetaDataset()
        data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        data.save_as(folder / f"IM{count - index:04d}.dcm", enforce_file_format=True)


FOSHAN = {
    "T1w": ("T1WI", "ROI-T1", (0, 255), {"RepetitionTime": "600", "EchoTime": "10"}),
    "T2w": ("T2WI", "ROI-T2", (0, 1), {"RepetitionTime": "4000", "EchoTime": "80"}),
    "CE-T1w": ("CE-T1WI", "ROI-CE-T1", (3, 7), {"RepetitionTime": "600", "EchoTime": "10"}),
}


def write_foshan(root: Path, who: Person, number: str) -> Path:
    """One patient of Foshan NPC; its masks have three different pairs of values."""
    folder = root / "data" / "MRI-Segments" / number
    for name, (series, roi, values, attributes) in FOSHAN.items():
        image = who.volumes[name]
        write_series(folder / series, image, f"1.2.{int(number)}.{len(series)}", **attributes)
        write_mask(folder / f"{roi}.nii", who.masks["GTVp"], image, values)
    return folder


def write_hntsmrg(root: Path, who: Person, number: str) -> Path:
    """One patient of HNTS-MRG 2024, twice scanned; mid-RT is brighter and has no GTVn."""
    folder = root / "HNTSMRG24_train" / number
    before = who.volumes["T2w"]
    after = before.replace(voxels=before.voxels + 20).replace(
        index_to_world=before.index_to_world + np.diag((0, 0, 0.3, 0))
    )
    labels = who.masks["GTVp"] + 2 * who.masks["Brainstem"].astype(np.uint8)
    for image, time, drawn in (
        (before, "preRT", labels),
        (after, "midRT", who.masks["GTVp"].astype(np.uint8)),
    ):
        write_image(folder / time / f"{number}_{time}_T2.nii.gz", image)
        save(image.replace(voxels=drawn), folder / time / f"{number}_{time}_mask.nii.gz")
    warped = after.replace(voxels=before.voxels + 5)
    write_image(folder / "midRT" / f"{number}_preRT_T2_registered.nii.gz", warped)
    save(after.replace(voxels=labels), folder / "midRT" / f"{number}_preRT_mask_registered.nii.gz")
    return folder


HANSEG = ("Brainstem", "SpinalCord", "Parotid_L", "Parotid_R", "Bone_Mandible")


def write_hanseg(root: Path, who: Person, number: int) -> Path:
    """One case of HaN-Seg; the eyes in two segments, masks cropped as 3D Slicer writes them."""
    name = f"case_{number:02d}"
    folder = root / "set_1" / name
    folder.mkdir(parents=True)
    for part, sequence in (("CT", "CT"), ("MR_T1", "T1w")):
        image = who.volumes[sequence]
        save(
            Volume(image.voxels, image.index_to_world),
            folder / f"{name}_IMG_{part}.nrrd",
        )
    for structure in HANSEG:
        write_segment(folder / f"{name}_OAR_{structure}.seg.nrrd", who, who.masks[structure])
    for side in "LR":
        eye = who.masks[f"Eye_{side}"]
        middle = int(np.median(np.nonzero(eye)[1]))
        front = eye.copy()
        front[:, middle:] = False
        write_segment(folder / f"{name}_OAR_Eye_A{side}.seg.nrrd", who, front)
        write_segment(folder / f"{name}_OAR_Eye_P{side}.seg.nrrd", who, eye & ~front)
    return folder


def write_segment(path: Path, who: Person, mask: np.ndarray) -> None:
    """A mask drawn on the CT as ``.seg.nrrd``, cropped to the structure."""
    image = who.volumes["CT"]
    first = np.array([places.min() for places in np.nonzero(mask)])
    last = np.array([places.max() for places in np.nonzero(mask)]) + 1
    box = tuple(slice(a, b) for a, b in zip(first, last, strict=True))
    matrix = image.index_to_world.copy()
    matrix[:3, 3] = (image.index_to_world @ (*first[::-1], 1))[:3]
    voxels = mask[box].transpose(2, 1, 0).astype(np.uint8)
    segment = {"id": "Segment_1", "name": "organ", "labelValue": 1, "layer": 0}
    slicerio.write_segmentation(
        str(path), {"voxels": voxels, "ijkToLPS": matrix, "segments": [segment]}
    )


SEGRAP = {
    "BrainStem": "Brainstem",
    "SpinalCord": "SpinalCord",
    "TemporalLobe_L": "Lobe_Temporal_L",
    "GTVp": "GTVp",
}


def write_segrap(root: Path, who: Person, number: int) -> Path:
    """One patient of SegRap2023: both CTs, some of the 45 organs, masks of several types."""
    folder = root / "SegRap2023_Training_Set_120cases" / f"segrap_{number:04d}"
    plain = who.volumes["CT"]
    write_image(folder / "image.nii.gz", plain)
    write_image(folder / "image_contrast.nii.gz", plain.replace(voxels=plain.voxels + 15))
    for theirs, ours in SEGRAP.items():
        values, dtype = ((0, 255), np.float64) if theirs == "GTVp" else ((0, 1), np.uint16)
        write_mask(folder / f"{theirs}.nii.gz", who.masks[ours], plain, values, dtype)
    mandible = who.masks["Bone_Mandible"]
    left = mandible.copy()
    left[:, :, : mandible.shape[2] // 2] = False
    write_mask(folder / "Mandible_L.nii.gz", left, plain, (0, 255))
    write_mask(folder / "Mandible_R.nii.gz", mandible & ~left, plain, (0, 255))
    write_mask(folder / "GTVnd.nii.gz", np.zeros_like(mandible), plain)
    return folder


def write_cohort(root: Path, who: Person, name: str) -> Path:
    """One case as `mrisynth simulate` writes it; its tissue map numbers the tissues anew."""
    folder = root / name
    for sequence in ("T1w", "T2w", "CE-T1w"):
        write_image(folder / "anat" / f"{name}_{sequence}.nii.gz", who.volumes[sequence])
    sidecar = {"MagneticFieldStrength": 3.0, "RepetitionTime": 0.6, "EchoTime": 0.01}
    (folder / "anat" / f"{name}_T1w.json").write_text(json.dumps(sidecar))
    image = who.volumes["T2w"]
    for structure, mask in who.masks.items():
        write_mask(folder / "labels" / f"{structure}.nii.gz", mask, image)
    write_mask(folder / "labels" / "Cochlea_L.nii.gz", np.zeros(image.shape, bool), image)
    tissue = np.where(image.voxels > 60, 1, 0).astype(np.uint8)
    tissue[who.masks["Brainstem"]] = 2
    save(Volume(tissue, image.index_to_world), folder / "tissue.nii.gz")
    names = {"0": TISSUES[0].name, "1": "a tissue of tomorrow", "2": "white matter"}
    (folder / "tissue.json").write_text(json.dumps(names))
    (folder / "case.json").write_text(json.dumps({"name": name, "structures": sorted(who.masks)}))
    return folder


WRITERS = {
    "cohort": lambda root, who, n: write_cohort(root, who, f"sub-virtual{n:06d}"),
    "foshan": lambda root, who, n: write_foshan(root, who, f"{n:03d}"),
    "hntsmrg": lambda root, who, n: write_hntsmrg(root, who, str(n)),
    "hanseg": write_hanseg,
    "segrap": write_segrap,
}
"""Kind -> function (root, person, number) that writes one patient and returns its folder."""
