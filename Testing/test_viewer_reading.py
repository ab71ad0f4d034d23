"""Files that a page has sent, which may mean harm, become images and contours."""

from __future__ import annotations

import bz2
import gzip
import shutil
import zlib

import numpy as np
import pytest

pytest.importorskip("aiohttp", reason="needs the browser part (pip install mrisynth[view])")

import pydicom
from pydicom.uid import DeflatedExplicitVRLittleEndian, RLELossless

from dicom_series import slice_data, write
from fakes import head
from MRISynthApp.viewer.limits import MIB
from MRISynthApp.viewer.reading import read, read_sent
from MRISynthLib import io
from MRISynthLib.errors import InputError
from MRISynthLib.provenance import Provenance
from MRISynthSegmentLib.io import save_segmentation
from MRISynthSegmentLib.segmentation import Segmentation

SHAPE = (8, 32, 28)
METAIMAGE = """ObjectType = Image
NDims = 3
BinaryData = True
DimSize = 10 10 10
ElementType = MET_UCHAR
ElementSpacing = 1 1 1
TransformMatrix = 1 0 0 0 1 0 0 0 1
Offset = 0 0 0
{more}ElementDataFile = {data}
"""
COMPRESSED = ("CompressedData = True", " CompressedData = 1", "CompressedData == t")
"""What ITK takes for compressed."""
NRRD = """NRRD0005
type: uint8
dimension: 3
space: left-posterior-superior
sizes: 10 10 10
space directions: (1,0,0) (0,1,0) (0,0,1)
space origin: (0,0,0)
encoding: {encoding}
{more}
"""
VOXELS = np.arange(1000).astype(np.uint8).tobytes()


def image(name: str, seed: int = 0, **attributes):
    return head(seed, SHAPE, name=name, **attributes)


def test_derived_images_are_not_taken_for_images(tmp_path):
    map_only = image("x").replace(provenance=Provenance(True, kind="uncertainty", sequence="T2w"))
    io.save(map_only, tmp_path / "map.nrrd")
    with pytest.raises(InputError, match="no image"):
        read([tmp_path])


def test_a_header_that_claims_more_than_there_is_is_refused(tmp_path):
    path = tmp_path / "huge.nii"
    io.save(image("T1w"), path)
    content = bytearray(path.read_bytes())
    content[42:48] = np.array([30000, 30000, 30000], "<i2").tobytes()
    path.write_bytes(content)
    with pytest.raises(InputError):
        read([path])


@pytest.mark.parametrize("name", ["a.mha", "a.mhd", "a.nhdr", "a.nrrd", "a.nii", "a.seg.nrrd"])
def test_what_was_sent_cannot_name_another_file_to_be_read(tmp_path, name):
    batch = tmp_path / "batch"
    batch.mkdir()
    secret = tmp_path / "secret"
    secret.write_bytes(bytes(range(250)) * 4)
    if name.startswith("a.m") or name == "a.nii":
        text = METAIMAGE.format(more="", data=secret)
    else:
        text = NRRD.format(encoding="raw", more=f"data file: {secret}\n")
    (batch / name).write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match="names another file"):
        read_sent(batch, MIB)
    if name in ("a.mha", "a.nhdr"):
        assert read([batch]).images, "on the command line it is followed"


def test_images_that_hold_their_voxels_themselves_can_be_sent(tmp_path):
    sitk = pytest.importorskip("SimpleITK")
    sitk.WriteImage(sitk.GetImageFromArray(image("T1w").voxels), str(tmp_path / "a.mha"))
    io.save(image("T1w"), tmp_path / "b.nrrd")
    assert len(read_sent(tmp_path, MIB).images) == 2


@pytest.mark.parametrize("encoding", ["raw", "gzip"])
def test_a_header_and_the_voxels_that_were_sent_with_it_are_one_image(tmp_path, encoding):
    packed = encoding == "gzip"
    more = " CompressedData = 1\n" if packed else ""
    (tmp_path / "00000_a.mhd").write_text(METAIMAGE.format(more=more, data="a b.raw"))
    (tmp_path / "00003_a b.raw").write_bytes(zlib.compress(VOXELS) if packed else VOXELS)
    text = NRRD.format(encoding=encoding, more="data file: ./c.raw\n")
    (tmp_path / "00001_c.nhdr").write_text(text)
    (tmp_path / "00002_c.raw").write_bytes(gzip.compress(VOXELS) if packed else VOXELS)
    found = read_sent(tmp_path, MIB)
    assert [volume.name for volume in found.images] == ["a.mhd", "c.nhdr"]
    for volume in found.images:
        assert volume.voxels.ravel().tobytes() == VOXELS
    assert sorted(path.name for path in tmp_path.iterdir()) == ["00000_a.mhd", "00001_c.nhdr"]


def test_voxels_that_two_headers_or_two_files_could_mean_are_not_guessed(tmp_path):
    for number in (0, 1):
        (tmp_path / f"0000{number}_a.mhd").write_text(METAIMAGE.format(more="", data="a.raw"))
    for number in (2, 3):
        (tmp_path / f"0000{number}_a.raw").write_bytes(VOXELS)
    with pytest.raises(InputError, match="not sent with it"):
        read_sent(tmp_path, MIB)


def test_a_full_disk_is_said_and_leaves_what_was_sent(tmp_path, monkeypatch):
    (tmp_path / "00000_a.mhd").write_text(METAIMAGE.format(more="", data="a.raw"))
    (tmp_path / "00001_a.raw").write_bytes(VOXELS)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copyfileobj", full)
    with pytest.raises(InputError, match="disk is full"):
        read_sent(tmp_path, MIB)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def nifti_bomb(folder, size=5 * MIB):
    io.save(image("T1w"), folder / "a.nii")
    content = (folder / "a.nii").read_bytes()
    (folder / "a.nii").unlink()
    (folder / "a.nii.gz").write_bytes(gzip.compress(content + bytes(size)))


def two_nifti(folder):
    """Each of which is small enough."""
    for name in "ab":
        nifti_bomb(folder, 3 * MIB)
        (folder / "a.nii.gz").rename(folder / f"{name}{name}.nii.gz")


def nrrd_bomb(folder, encoding="gzip", pack=gzip.compress, more=""):
    text = NRRD.format(encoding=encoding, more=more)
    (folder / "a.nrrd").write_bytes(text.encode() + pack(VOXELS + bytes(5 * MIB)))


def contours_bomb(folder):
    image_ = image("T1w", sequence="T1w")
    io.save(image_, folder / "t1.nii.gz")
    drawn = Segmentation({"GTVp": image_.voxels > 1e9}, image_)
    save_segmentation(drawn, folder / "a.seg.nrrd")
    content = (folder / "a.seg.nrrd").read_bytes()
    header = content[: content.index(b"\n\n") + 2]
    (folder / "a.seg.nrrd").write_bytes(header + gzip.compress(bytes(5 * MIB)))


def metaimage_bomb(line):
    def make(folder):
        text = METAIMAGE.format(more=f"{line}\n", data="LOCAL")
        (folder / "a.mha").write_bytes(text.encode() + zlib.compress(VOXELS + bytes(5 * MIB)))

    return make


def two_formats_bomb(folder):
    dicom_bomb(folder)
    content = (folder / "a.dcm").read_bytes()
    preamble = b"N = 3\nCompressedData = True\nElementDataFile = LOCAL\n"
    (folder / "a.dcm").write_bytes(preamble.ljust(128) + content[128:])


def joined_bomb(folder):
    (folder / "00000_c.nhdr").write_text(NRRD.format(encoding="gzip", more="data file: c.raw\n"))
    (folder / "00001_c.raw").write_bytes(gzip.compress(VOXELS + bytes(5 * MIB)))


def packed(path, syntax):
    """A DICOM file in another transfer syntax."""
    data = pydicom.dcmread(path)
    if syntax == RLELossless:
        data.compress(syntax)
    else:
        data.file_meta.TransferSyntaxUID = syntax
    data.save_as(path)
    return path


def dicom_bomb(folder):
    data = slice_data(0)
    data.PixelData = bytes(5 * MIB)
    packed(write(data, folder / "a.dcm"), DeflatedExplicitVRLittleEndian)


def frames_bomb(folder):
    path = packed(write(slice_data(0), folder / "a.dcm"), RLELossless)
    data = pydicom.dcmread(path)
    data.Rows = data.Columns = 4096
    data.save_as(path)


@pytest.mark.parametrize(
    "make",
    [
        nifti_bomb,
        two_nifti,
        nrrd_bomb,
        lambda folder: nrrd_bomb(folder, "bzip2", bz2.compress),
        lambda folder: nrrd_bomb(folder, more="line skip: 2\n\nx\ny"),
        contours_bomb,
        *(metaimage_bomb(line) for line in COMPRESSED),
        joined_bomb,
        dicom_bomb,
        two_formats_bomb,
        frames_bomb,
    ],
)
def test_what_becomes_too_large_when_it_is_unpacked_is_refused(tmp_path, make):
    make(tmp_path)
    with pytest.raises(InputError, match="larger than the 4 MB"):
        read_sent(tmp_path, 4 * MIB)


def test_a_header_that_hides_that_it_is_packed_is_refused(tmp_path):
    more = f"Comment = {'x' * 70_000}\nCompressedData = True\n"
    text = METAIMAGE.format(more=more, data="LOCAL").encode()
    (tmp_path / "a.mha").write_bytes(text + zlib.compress(VOXELS + bytes(5 * MIB)))
    with pytest.raises(InputError, match="damaged"):
        read_sent(tmp_path, 4 * MIB)


def test_images_that_are_packed_in_every_way_can_be_sent(tmp_path):
    sitk = pytest.importorskip("SimpleITK")
    picture = sitk.GetImageFromArray(image("T1w").voxels)
    sitk.WriteImage(picture, str(tmp_path / "a.mha"), useCompression=True)
    io.save(image("T1w"), tmp_path / "b.nrrd")
    io.save(image("T1w"), tmp_path / "c.nii.gz")
    assert len(read_sent(tmp_path, MIB).images) == 3
    deflated, rle = tmp_path / "deflated", tmp_path / "rle"
    for index in range(4):
        packed(write(slice_data(index), deflated / f"{index}.dcm"), DeflatedExplicitVRLittleEndian)
        packed(write(slice_data(index), rle / f"{index}.dcm"), RLELossless)
    assert pydicom.dcmread(rle / "0.dcm").file_meta.TransferSyntaxUID == RLELossless
    for folder in (deflated, rle):
        (volume,) = read_sent(folder, MIB).images
        assert volume.shape[0] == 4


def test_contours_are_in_the_order_of_their_names_however_they_came(tmp_path):
    picture = image("T1w", sequence="T1w")
    for name in ("00000_theirs", "00001_mine"):
        drawn = Segmentation({"GTVp": picture.voxels > picture.voxels.mean()}, picture)
        save_segmentation(drawn, tmp_path / f"{name}.seg.nrrd")
    found = read([tmp_path])
    assert [path.name for path in found.contours] == [
        "00001_mine.seg.nrrd",
        "00000_theirs.seg.nrrd",
    ]
