"""Reading and writing image files: values, orientation, refusals in words."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import zlib
from pathlib import Path

import nibabel as nib
import nrrd
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from scipy.spatial.transform import Rotation

from MRISynthLib.errors import InputError, OutputError
from MRISynthLib.io import load, load_one, save
from MRISynthLib.provenance import Provenance
from MRISynthLib.volume import Volume

AFFINE = np.array([[-0.9, 0, 0, 80], [0, 0.8, 0, -70], [0, 0, 3.0, -40], [0, 0, 0, 1]])
PROVENANCE = Provenance(
    synthetic=True,
    sequence="CE-T1w",
    inputs=({"sequence": "T1w", "name": "Kopf Ö 增强.nii", "synthetic": False},),
    prompt="增强T1",
    bundle="anysynth",
    bundle_version="0.1",
    bundle_hash="0123456789abcdef",
    seed=7,
    warnings=("One slice was missing.",),
)


def _nifti(path: Path, voxels: np.ndarray, sform: int = 1, qform: int = 1) -> Path:
    image = nib.Nifti1Image(voxels, AFFINE, dtype=voxels.dtype)
    image.set_sform(AFFINE, code=sform)
    image.set_qform(AFFINE, code=qform)
    nib.save(image, path)
    return path


def _refusal(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        load(path)
    text = str(caught.value)
    assert path.name in text
    assert "Traceback" not in text and "\n" not in text
    assert text.endswith(".")
    return text


def _grey(shape: tuple[int, ...] = (6, 5, 4), dtype: type = np.int16) -> np.ndarray:
    return np.arange(np.prod(shape)).reshape(shape).astype(dtype)


# --- NIfTI ----------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int64, np.float32, np.float64])
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_nifti_values_and_place(tmp_path: Path, dtype: type, suffix: str) -> None:
    voxels = _grey(dtype=dtype)
    volume = load_one(_nifti(tmp_path / f"image{suffix}", voxels))
    assert volume.shape == (4, 5, 6)
    assert volume.voxels.dtype == dtype
    np.testing.assert_array_equal(volume.voxels, voxels.T)
    np.testing.assert_allclose(volume.origin, (-80, 70, -40))
    np.testing.assert_allclose(volume.direction, np.diag([1.0, -1.0, 1.0]))


def test_nifti_scaling_and_byte_order(tmp_path: Path) -> None:
    header = nib.Nifti1Header(endianness=">")
    header.set_data_dtype(np.int16)
    image = nib.Nifti1Image(_grey(), AFFINE, header)
    image.header.set_slope_inter(0.5, -10)
    nib.save(image, tmp_path / "a.nii")
    raw = bytearray((tmp_path / "a.nii").read_bytes())
    stored = np.frombuffer(raw[352:], ">i2").reshape(_grey().shape, order="F")
    volume = load_one(tmp_path / "a.nii")
    assert volume.voxels.dtype.isnative
    np.testing.assert_allclose(volume.voxels, stored.T * 0.5 - 10)


def test_sform_wins_and_a_disagreement_is_said(tmp_path: Path) -> None:
    image = nib.Nifti1Image(_grey(), AFFINE)
    shifted = AFFINE.copy()
    shifted[0, 3] += 12
    image.set_sform(shifted, code=1)
    image.set_qform(AFFINE, code=1)
    nib.save(image, tmp_path / "two.nii")
    volume = load_one(tmp_path / "two.nii")
    assert volume.origin[0] == pytest.approx(-92)
    assert "12.0 mm" in volume.warnings[0]
    assert not load_one(_nifti(tmp_path / "one.nii", _grey())).warnings


@pytest.mark.parametrize("tilt_deg", [0.0, 0.02, 0.07, 3.0])
def test_a_file_never_states_two_orientations(tmp_path: Path, tilt_deg: float) -> None:
    """Rotations near half a turn, which a quaternion in single precision cannot hold."""
    turn = Rotation.from_euler("xyz", (10 * tilt_deg, -2 * tilt_deg, tilt_deg), degrees=True)
    matrix = np.eye(4)
    matrix[:3, :3] = turn.as_matrix() * (0.9, 0.9, 4.0)
    matrix[:3, 3] = (-110, -120, -80)
    save(Volume(np.zeros((30, 256, 240), np.float32), matrix), tmp_path / "a.nii.gz")
    back = load_one(tmp_path / "a.nii.gz")
    assert back.warnings == ()
    np.testing.assert_allclose(back.index_to_world, matrix, atol=1e-5)
    header = nib.load(tmp_path / "a.nii.gz").header
    if header["qform_code"] > 0:
        np.testing.assert_allclose(header.get_qform(), header.get_sform(), atol=1e-5)


def test_qform_serves_where_there_is_no_sform(tmp_path: Path) -> None:
    path = _nifti(tmp_path / "q.nii", _grey(), sform=0)
    np.testing.assert_allclose(load_one(path).origin, (-80, 70, -40), atol=1e-4)


def test_nifti_without_orientation_is_refused(tmp_path: Path) -> None:
    text = _refusal(_nifti(tmp_path / "lost.nii", _grey(), sform=0, qform=0))
    assert "no orientation" in text and "convert it again" in text


def test_one_frame_is_taken_and_several_are_refused(tmp_path: Path) -> None:
    assert load_one(_nifti(tmp_path / "one.nii", _grey((6, 5, 4, 1)))).shape == (4, 5, 6)
    assert "split" in _refusal(_nifti(tmp_path / "many.nii", _grey((6, 5, 4, 3))))


def test_2d_complex_and_rgb_are_refused(tmp_path: Path) -> None:
    assert "2D" in _refusal(_nifti(tmp_path / "flat.nii", _grey((6, 5))))
    assert "complex" in _refusal(_nifti(tmp_path / "c.nii", _grey(dtype=np.complex64)))
    rgb = np.zeros((6, 5, 4), np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")]))
    assert "RGB" in _refusal(_nifti(tmp_path / "rgb.nii", rgb))


def test_one_slice_nan_and_constant_images_are_read_as_they_are(tmp_path: Path) -> None:
    assert load_one(_nifti(tmp_path / "thin.nii", _grey((6, 5, 1)))).shape == (1, 5, 6)
    holes = _grey(dtype=np.float32)
    holes[0, 0, 0] = np.nan
    assert np.isnan(load_one(_nifti(tmp_path / "nan.nii", holes)).voxels[0, 0, 0])
    assert load_one(_nifti(tmp_path / "flat.nii", np.ones((6, 5, 4), np.int16))).voxels.max() == 1


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "a.nrrd", "a.mha", "a.dcm", "a.txt", "a"])
@pytest.mark.parametrize("content", [b"", b"no image at all" * 30, b"\x1f\x8b\x08broken"])
def test_what_is_no_image_is_refused(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    _refusal(path)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".nrrd"])
@pytest.mark.parametrize("part", [0.02, 0.5, 0.97])
def test_truncated_files_are_refused(
    tmp_path: Path, small_volume: Volume, suffix: str, part: float
) -> None:
    path = tmp_path / f"cut{suffix}"
    save(small_volume, path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(part * len(whole))])
    text = _refusal(path)
    assert "damaged" in text or "truncated" in text


def test_a_damaged_gzip_is_refused(tmp_path: Path, small_volume: Volume) -> None:
    path = tmp_path / "broken.nii.gz"
    save(small_volume, path)
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2 : len(raw) // 2 + 40] = bytes(40)
    path.write_bytes(raw)
    _refusal(path)


def test_missing_paths_and_empty_folders(tmp_path: Path) -> None:
    assert "no file or folder" in _refusal(tmp_path / "nowhere.nii")
    (tmp_path / "empty").mkdir()
    assert "is empty" in _refusal(tmp_path / "empty")
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "notes.txt").write_text("hello")
    assert "no image" in _refusal(tmp_path / "notes")


def test_bids_sidecar_gives_milliseconds(tmp_path: Path) -> None:
    path = _nifti(tmp_path / "sub-01_T1w.nii.gz", _grey())
    values = {
        "RepetitionTime": 0.62,
        "EchoTime": 0.0098,
        "FlipAngle": 90,
        "MagneticFieldStrength": 3,
        "ScanningSequence": "SE",
        "ContrastBolusIngredient": "GADOLINIUM",
        "PatientName": "Doe",
        "PatientID": "77",
    }
    sidecar = tmp_path / "sub-01_T1w.json"
    sidecar.write_text(json.dumps(values))
    acquisition = load_one(path).acquisition
    assert acquisition["RepetitionTime"] == pytest.approx(620)
    assert acquisition["EchoTime"] == pytest.approx(9.8)
    assert acquisition["FlipAngle"] == 90
    assert acquisition["ContrastBolusAgent"] == "GADOLINIUM"
    assert not {"Doe", "77"} & set(map(str, acquisition.values()))
    sidecar.write_text("{broken")
    assert "sub-01_T1w.json" in load_one(path).warnings[0]


def test_only_telling_folder_names_are_kept(tmp_path: Path) -> None:
    for folder, kept in (("T1WI", "T1WI"), ("Doe_T1", "T1w"), ("Doe_1950", None)):
        (tmp_path / folder).mkdir()
        path = _nifti(tmp_path / folder / "image.nii", _grey())
        assert load_one(path).acquisition.get("SourceFolder") == kept


# --- NRRD and MetaImage ---------------------------------------------------------------------

SPACE = {
    "space": "left-posterior-superior",
    "space directions": np.diag([0.9, 0.8, 3.0]),
    "space origin": np.array([1.0, 2.0, 3.0]),
    "kinds": ["domain"] * 3,
}


def _nrrd(path: Path, voxels: np.ndarray, **changes: object) -> Path:
    header = {key: value for key, value in (SPACE | changes).items() if value is not None}
    nrrd.write(str(path), voxels, header, index_order="C")
    return path


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int64, np.float32])
def test_nrrd_values_and_place(tmp_path: Path, dtype: type) -> None:
    voxels = _grey(dtype=dtype)
    volume = load_one(_nrrd(tmp_path / "a.nrrd", voxels))
    np.testing.assert_array_equal(volume.voxels, voxels)
    np.testing.assert_allclose(volume.spacing, (0.9, 0.8, 3.0))
    np.testing.assert_allclose(volume.origin, (1, 2, 3))


def test_nrrd_without_a_space_is_refused(tmp_path: Path) -> None:
    path = _nrrd(tmp_path / "a.nrrd", _grey(), space=None, **{"space origin": None}, spacings=None)
    assert "no orientation" in _refusal(path)
    bare = tmp_path / "b.nrrd"
    nrrd.write(str(bare), _grey(), {"spacings": [1.0, 1.0, 2.0]}, index_order="C")
    assert "no orientation" in _refusal(bare)


def test_nrrd_colour_vectors_frames_and_2d_are_refused(tmp_path: Path) -> None:
    nowhere = np.full((1, 3), np.nan)
    four = np.vstack([nowhere, np.diag([1.0, 1.0, 1.0])])
    for kind, word in (("RGB-color", "RGB"), ("vector", "vector"), ("list", "frames")):
        path = _nrrd(
            tmp_path / f"{kind}.nrrd",
            _grey((4, 5, 6, 3)),
            **{"space directions": four, "kinds": [kind, "domain", "domain", "domain"]},
        )
        assert word in _refusal(path)
    flat = tmp_path / "flat.nrrd"
    nrrd.write(str(flat), _grey((5, 6)), index_order="C")
    assert "2D" in _refusal(flat)
    one = _nrrd(
        tmp_path / "one.nrrd",
        _grey((4, 5, 6, 1)),
        **{"space directions": four, "kinds": ["list", "domain", "domain", "domain"]},
    )
    assert load_one(one).shape == (4, 5, 6)


def test_a_segmentation_is_no_image(tmp_path: Path) -> None:
    path = _nrrd(tmp_path / "a.nrrd", _grey(dtype=np.uint8), Segment0_ID="x", Segment0_Name="GTVp")
    assert "segmentation" in _refusal(path)


def test_metaimage(tmp_path: Path) -> None:
    image = sitk.GetImageFromArray(_grey())
    image.SetSpacing((0.9, 0.8, 3.0))
    image.SetDirection((0, 0, 1, 1, 0, 0, 0, 1, 0))
    image.SetOrigin((4, 5, 6))
    sitk.WriteImage(image, str(tmp_path / "a.mha"))
    volume = load_one(tmp_path / "a.mha")
    np.testing.assert_array_equal(volume.voxels, _grey())
    far = image.TransformIndexToPhysicalPoint((3, 4, 5))
    np.testing.assert_allclose(volume.corners()[-1], far)
    colour = sitk.GetImageFromArray(_grey((4, 5, 6, 3), np.uint8), isVector=True)
    sitk.WriteImage(colour, str(tmp_path / "rgb.mha"))
    assert "colour" in _refusal(tmp_path / "rgb.mha")
    text = (tmp_path / "a.mha").read_bytes()
    lines = [line for line in text.split(b"\n", 15) if not line.startswith(b"TransformMatrix")]
    (tmp_path / "lost.mha").write_bytes(b"\n".join(lines))
    assert "no orientation" in _refusal(tmp_path / "lost.mha")


@pytest.mark.parametrize("name", ["a.mha", "a.mhd"])
def test_a_compressed_metaimage_that_cannot_be_unpacked_gives_no_noise(tmp_path, name) -> None:
    path = tmp_path / name
    sitk.WriteImage(sitk.GetImageFromArray(_grey()), str(path), useCompression=True)
    np.testing.assert_array_equal(load_one(path).voxels, _grey())
    packed = path if name == "a.mha" else tmp_path / "a.zraw"
    content = packed.read_bytes()
    start = content.index(b"LOCAL\n") + 6 if name == "a.mha" else 0
    short = zlib.compress(zlib.decompress(content[start:])[:-8])
    for broken in (
        content[: start + 40] + b"\0\1\2\3" + content[start + 44 :],
        content[:-20],
        content[:start] + short + bytes(len(content) - start - len(short)),
    ):
        packed.write_bytes(broken)
        assert "damaged" in _refusal(path)
    packed.write_bytes(re.sub(rb"CompressedDataSize.*\n", b"", content))
    if name == "a.mha":
        assert "CompressedDataSize" in _refusal(path)


SPELT = """ObjectType = Image
NDims = 3
BinaryData = True
{compressed}
CompressedDataSize = {size}
{matrix} = 1 0 0 0 1 0 0 0 1
ElementSpacing = 1 1 1
DimSize = 4 4 4
ElementType = MET_UCHAR
ElementDataFile = LOCAL
"""


@pytest.mark.parametrize(
    "compressed",
    [
        "CompressedData = 1",
        "CompressedData:t",
        "\tCompressedData\r == True \r",
        "\n\nCompressedData\n= True",
        "CompressedData = False\nCompressedData = True",
    ],
)
def test_however_a_metaimage_says_that_it_is_compressed(tmp_path, compressed) -> None:
    voxels = np.arange(64, dtype=np.uint8)
    packed = zlib.compress(voxels.tobytes())
    path = tmp_path / "a.mha"
    text = SPELT.format(compressed=compressed, size=len(packed), matrix=" Orientation")
    path.write_bytes(text.encode() + packed)
    np.testing.assert_array_equal(load_one(path).voxels.ravel(), voxels)
    path.write_bytes(text.encode() + packed[:6] + b"\0\1\2\3" + packed[10:])
    assert "damaged" in _refusal(path)


@pytest.mark.parametrize(
    "plain",
    [
        "CompressedData = yes",
        "compresseddata = True",
        "CompressedData = True\nCompressedData = False",
        "Comment = a\rCompressedData = True",
    ],
)
def test_voxels_that_are_not_compressed_are_not_unpacked(tmp_path, plain) -> None:
    voxels = np.arange(64, dtype=np.uint8)
    text = SPELT.format(compressed=plain, size=64, matrix="TransformMatrix")
    (tmp_path / "a.mha").write_bytes(text.encode() + voxels.tobytes())
    np.testing.assert_array_equal(load_one(tmp_path / "a.mha").voxels.ravel(), voxels)


# --- folders --------------------------------------------------------------------------------


def test_a_folder_gives_every_image_and_says_what_it_left_out(tmp_path: Path) -> None:
    _nifti(tmp_path / "T1w.nii.gz", _grey())
    (tmp_path / "deeper").mkdir()
    _nrrd(tmp_path / "deeper" / "T2w.nrrd", _grey())
    (tmp_path / "broken.nii").write_bytes(b"broken")
    (tmp_path / "notes.json").write_text("{}")
    volumes = load(tmp_path)
    assert {volume.name for volume in volumes} == {"T1w.nii.gz", "T2w.nrrd"}
    assert all("broken.nii" in volume.warnings[-1] for volume in volumes)
    with pytest.raises(InputError, match=r"holds 2 images.*T1w"):
        load_one(tmp_path)


# --- writing --------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".nrrd"])
def test_a_synthetic_image_stays_marked(tmp_path: Path, small_volume: Volume, suffix: str) -> None:
    synthetic = small_volume.replace(
        sequence="CE-T1w", provenance=PROVENANCE, warnings=("Slice 3 of 6 is missing.",)
    )
    path = tmp_path / f"CE-T1w{suffix}"
    save(synthetic, path)
    back = load_one(path)
    assert back.is_synthetic
    assert back.provenance == PROVENANCE
    assert back.sequence == "CE-T1w"
    assert back.warnings == synthetic.warnings
    np.testing.assert_array_equal(back.voxels, synthetic.voxels)


def test_other_tools_see_the_mark_and_may_not_lose_it(tmp_path: Path, small_volume: Volume) -> None:
    synthetic = small_volume.replace(sequence="CE-T1w", provenance=PROVENANCE)
    path = tmp_path / "a.nii.gz"
    save(synthetic, path)
    image = nib.load(path)
    assert image.header["descrip"].item().startswith(b"SYNTHETIC CE-T1w from T1w")
    assert image.header["intent_name"].item() == b"SYNTHETIC"
    image.header.extensions.clear()
    nib.save(nib.Nifti1Image(image.get_fdata(), None, image.header), tmp_path / "b.nii")
    back = load_one(tmp_path / "b.nii")
    assert back.is_synthetic and back.sequence == "CE-T1w"
    assert "lost" in back.provenance.warnings[0]
    save(synthetic, tmp_path / "a.nrrd")
    assert json.loads(nrrd.read_header(str(tmp_path / "a.nrrd"))["MRISynth_provenance"])


def test_a_real_image_is_not_marked(tmp_path: Path, small_volume: Volume) -> None:
    for suffix in (".nii.gz", ".nrrd"):
        save(small_volume, tmp_path / f"a{suffix}")
        back = load_one(tmp_path / f"a{suffix}")
        assert not back.is_synthetic and back.sequence == "T1w"


def test_large_integers_keep_their_values(tmp_path: Path) -> None:
    for value in (2**31 - 1, 2**40):
        volume = Volume(np.full((2, 3, 4), value, np.int64), np.eye(4))
        for suffix in (".nii", ".nrrd"):
            save(volume, tmp_path / f"a{suffix}")
            assert load_one(tmp_path / f"a{suffix}").voxels.max() == value


def test_writing_replaces_whole_files_or_leaves_the_old(
    tmp_path: Path, small_volume: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.nii.gz"
    path.write_bytes(b"old")

    def fail(image: object, name: object) -> None:
        Path(str(name)).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(nib, "save", fail)
        with pytest.raises(OutputError, match="disk is full"):
            save(small_volume, path)
    assert path.read_bytes() == b"old"
    assert [item.name for item in tmp_path.iterdir()] == ["a.nii.gz"]
    save(small_volume, path)
    assert load_one(path).same_geometry(small_volume)


@pytest.mark.parametrize("name", ["a.png", "a.seg.nrrd", "no/such/a.nii", "a"])
def test_names_that_cannot_be_written(tmp_path: Path, small_volume: Volume, name: str) -> None:
    with pytest.raises(OutputError):
        save(small_volume, tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_importing_io_loads_nothing_heavy() -> None:
    code = (
        "import sys, MRISynthLib.io, MRISynthLib.prompts, MRISynthLib.sequences;"
        "heavy = {'torch', 'monai', 'SimpleITK', 'nibabel', 'pydicom', 'nrrd', 'scipy'};"
        "sys.exit(', '.join(heavy & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


# --- real scans -----------------------------------------------------------------------------


def test_real_scans_agree_with_itk(shared_data: Path) -> None:
    for relative in (
        "mr_adi/T1w.nii.gz",
        "mr_adi/T2w.nii.gz",
        "mr_openms/patient03_study2/FLAIR.nii.gz",
        "labels_hn_atlas/HN-Atlas-labels.nrrd",
    ):
        volume = load_one(shared_data / relative)
        image = sitk.ReadImage(str(shared_data / relative))
        last = tuple(int(n) - 1 for n in image.GetSize())
        far = image.TransformIndexToPhysicalPoint(last)
        np.testing.assert_allclose(volume.corners()[-1], far, atol=0.01)
        np.testing.assert_array_equal(volume.voxels, sitk.GetArrayViewFromImage(image))
        assert not volume.warnings
