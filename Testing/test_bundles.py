"""Bundles: what is found, what is refused, and that nothing in one can run code."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import pickle
import zipfile
from pathlib import Path

import pytest
import torch

from fakes import METADATA, NETWORK, write_test_bundle
from MRISynthLib import bundles
from MRISynthLib.bundle_files import COMMON_FIELDS, TASKS
from MRISynthLib.bundle_network import build_network
from MRISynthLib.bundle_weights import in_eight_bits
from MRISynthLib.bundles import (
    bundle_folders,
    bundle_roots,
    check_place,
    find_bundles,
    load_bundle,
    read_bundle,
    verify,
    write_bundle,
)
from MRISynthLib.errors import BundleError, OutputError
from MRISynthLib.training.carrying import fit_carrying
from MRISynthLib.training.screening import fit_screen
from MRISynthSegmentLib.thresholds import fit_thresholds


@pytest.fixture
def folder(tmp_path) -> Path:
    write_test_bundle(tmp_path / "TestSynthesis")
    return tmp_path / "TestSynthesis"


@pytest.fixture
def only_here(tmp_path, monkeypatch) -> Path:
    """A root of bundles that is the only one."""
    monkeypatch.setattr(bundles, "bundle_roots", lambda: [tmp_path])
    return tmp_path


def resign(folder: Path) -> None:
    """Make the hashes right again after a change, as someone with bad intent would."""
    lines = []
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name != "SHA256SUMS":
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            lines.append(f"{digest}  {path.relative_to(folder).as_posix()}\n")
    (folder / "SHA256SUMS").write_text("".join(sorted(lines)))


def change_json(path: Path, **changes) -> None:
    values = json.loads(path.read_text(encoding="utf-8"))
    for name, value in changes.items():
        if value is None:
            del values[name]
        else:
            values[name] = value
    path.write_text(json.dumps(values))


def test_what_is_written_is_what_is_loaded(folder) -> None:
    bundle = load_bundle(folder, "synthesis")
    assert (bundle.name, bundle.version, bundle.task) == ("TestSynthesis", "1.2.3", "synthesis")
    assert bundle.sequences_in == ("T1w", "T2w")
    assert bundle.sequences_out == ("T1w", "T2w", "CE-T1w", "STIR")
    network = bundle.network()
    assert not network.training
    again = bundle.network()
    image = torch.rand(1, 2, 32, 32)
    assert torch.equal(network(image), again(image))
    card = (folder / "docs" / "README.md").read_text(encoding="utf-8")
    assert "TestSynthesis 1.2.3" in card and "CE-T1w" in card and "Apache-2.0" in card


def test_the_network_is_the_one_that_monai_would_build(folder) -> None:
    from monai.bundle import ConfigParser

    bundle = load_bundle(folder)
    parser = ConfigParser({"network_def": bundle.inference["network_def"]})
    theirs = parser.get_parsed_content("network_def")
    theirs.load_state_dict(bundle.weights())
    image = torch.rand(1, 2, 32, 32)
    assert torch.equal(bundle.network()(image), theirs.eval()(image))


def test_the_hash_is_over_the_sorted_lines_and_sees_every_change(folder, tmp_path) -> None:
    lines = sorted((folder / "SHA256SUMS").read_text(encoding="utf-8").splitlines())
    text = "".join(f"{line}\n" for line in lines)
    assert verify(folder).hash == hashlib.sha256(text.encode()).hexdigest()
    assert len(lines) == 4
    other = write_test_bundle(tmp_path / "Other", version="1.2.4")
    assert other.hash != verify(folder).hash


def test_large_weights_are_split_and_joined(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(bundles, "MAX_PART_BYTES", 3000)
    weights = {f"layer{n}": torch.full((500,), float(n)) for n in range(5)}
    bundle = write_bundle(tmp_path / "Split", METADATA["synthesis"], {}, weights)
    parts = sorted(path.name for path in (bundle.folder / "models").iterdir())
    assert parts == [f"model-{n:05d}-of-00005.safetensors" for n in range(1, 6)]
    assert os.name == "nt" or all(
        path.stat().st_mode & 0o044 == 0o044 for path in (bundle.folder / "models").iterdir()
    ), "others on the machine may read it"
    joined = verify(bundle.folder).weights()
    assert joined.keys() == weights.keys()
    assert all(torch.equal(joined[name], weights[name]) for name in weights)
    (bundle.folder / "models" / parts[2]).unlink()
    resign(bundle.folder)
    with pytest.raises(BundleError, match="parts"):
        verify(bundle.folder)


def test_a_screen_comes_in_a_file_of_its_own_and_leaves_the_network_s_as_it_was(tmp_path) -> None:
    weights = {"layer": torch.arange(6.0)}
    without = write_bundle(tmp_path / "Plain", METADATA["synthesis"], {}, weights)
    weights["screen.limit"] = torch.ones(3)
    bundle = write_bundle(tmp_path / "Screened", METADATA["synthesis"], {}, weights)
    network = "models/model.safetensors"
    assert (bundle.folder / network).read_bytes() == (without.folder / network).read_bytes()
    joined = verify(bundle.folder).weights()
    assert joined.keys() == weights.keys() and torch.equal(joined["screen.limit"], torch.ones(3))


def test_weights_in_eight_bits_are_half_as_large_and_nearly_the_same(tmp_path) -> None:
    torch.manual_seed(0)
    kernel = torch.randn(64, 32, 3, 3) * torch.logspace(-6, 2, 64)[:, None, None, None]
    kernel[5] = 0
    weights = {"kernel": kernel, "offset": torch.randn(64), "steps": torch.tensor(7)}
    halves = write_bundle(
        tmp_path / "Half", METADATA["synthesis"], {}, weights | {"kernel": kernel.half()}
    )
    bundle = write_bundle(tmp_path / "Eight", METADATA["synthesis"], {}, in_eight_bits(weights))

    def size(written):
        return (written.folder / "models" / "model.safetensors").stat().st_size

    assert size(bundle) < 0.53 * size(halves)
    found = verify(bundle.folder).weights()
    assert found.keys() == weights.keys()
    assert torch.equal(found["offset"], weights["offset"]) and found["steps"] == 7
    largest = kernel.abs().amax((1, 2, 3))
    error = (found["kernel"] - kernel).abs().amax((1, 2, 3))
    assert (error <= 0.504 / 127 * largest).all(), "each channel has its own scale"
    stored = in_eight_bits(weights)
    del stored["kernel"]
    broken = write_bundle(tmp_path / "Broken", METADATA["synthesis"], {}, stored)
    with pytest.raises(BundleError, match="lack a part"):
        broken.weights()


def test_writing_again_replaces_and_leaves_nothing_else(folder) -> None:
    before = verify(folder).hash
    write_test_bundle(folder, version="2.0.0")
    assert verify(folder).version == "2.0.0" and verify(folder).hash != before
    assert [path.name for path in folder.parent.iterdir()] == ["TestSynthesis"]


def test_a_failed_writing_keeps_what_was_there(folder) -> None:
    before = verify(folder).hash
    weights = {"a": torch.zeros(3)}
    with pytest.raises(BundleError, match="'licence' is missing"):
        write_bundle(folder, {**METADATA["synthesis"], "licence": ""}, {}, weights)
    with pytest.raises(TypeError):
        write_bundle(folder, METADATA["synthesis"], {"bad": object()}, weights)
    assert verify(folder).hash == before
    assert [path.name for path in folder.parent.iterdir()] == ["TestSynthesis"]


def test_a_renaming_that_fails_puts_the_old_bundle_back(folder, monkeypatch) -> None:
    before, rename = verify(folder).hash, os.replace

    def replace(source, target) -> None:
        if Path(target) == folder and Path(source).name != "bundle":
            raise OSError(errno.ENOSPC, "full")
        rename(source, target)

    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(OutputError, match="the disk is full"):
        write_test_bundle(folder, version="2.0.0")
    assert verify(folder).hash == before
    assert [path.name for path in folder.parent.iterdir()] == ["TestSynthesis"]


def test_a_folder_with_anything_else_is_never_replaced(folder, tmp_path) -> None:
    notes = folder / "my notes.txt"
    notes.write_text("mine")
    documents = tmp_path / "Documents"
    documents.mkdir()
    (documents / "thesis.docx").write_text("years of work")
    file = tmp_path / "file"
    file.write_text("")
    for place in (folder, documents, tmp_path):
        for act in (check_place, write_test_bundle):
            with pytest.raises(OutputError, match="other than an unchanged bundle"):
                act(place)
    with pytest.raises(OutputError, match="a file of that name is in the way"):
        write_test_bundle(file)
    assert notes.read_text() == "mine" and (documents / "thesis.docx").is_file()
    assert file.is_file() and not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("fit", [fit_screen, fit_carrying, fit_thresholds])
def test_what_is_in_the_way_is_said_before_the_work(tmp_path, fit) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match="give a new or an empty folder"):
        fit(None, None, tmp_path)  # neither a model nor a patient is looked at


def test_an_empty_folder_and_one_that_is_not_there_take_a_bundle(tmp_path) -> None:
    (tmp_path / "empty").mkdir()
    write_test_bundle(tmp_path / "empty")
    check_place(tmp_path / "deep" / "new")
    assert not (tmp_path / "deep").exists()
    write_test_bundle(tmp_path / "deep" / "new")
    for place in (tmp_path / "empty", tmp_path / "deep" / "new"):
        verify(place)


def test_a_folder_that_cannot_be_made_is_an_output_error(tmp_path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        write_bundle(tmp_path / "file" / "B", METADATA["synthesis"], {}, {})


def test_a_changed_file_is_named(folder) -> None:
    path = folder / "models" / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(BundleError, match=r"models/model\.safetensors.*changed"):
        load_bundle(folder)


def test_a_missing_file_is_named(folder) -> None:
    (folder / "docs" / "README.md").unlink()
    with pytest.raises(BundleError, match=r"lacks the file docs/README\.md"):
        verify(folder)


def test_an_unlisted_file_is_named_but_desktop_litter_is_not(folder) -> None:
    (folder / ".DS_Store").write_bytes(b"x")
    verify(folder)
    (folder / "configs" / "more.json").write_text("{}")
    with pytest.raises(BundleError, match=r"configs/more\.json"):
        verify(folder)


def test_missing_or_damaged_hashes_are_said(folder) -> None:
    sums = (folder / "SHA256SUMS").read_text(encoding="utf-8")
    (folder / "SHA256SUMS").write_text(sums + "not a line\n")
    with pytest.raises(BundleError, match="not a line"):
        verify(folder)
    (folder / "SHA256SUMS").unlink()
    with pytest.raises(BundleError, match="SHA256SUMS"):
        verify(folder)


class Trap:
    """Says so when it is unpickled."""

    def __reduce__(self):
        return (pytest.exit, ("a pickle was loaded",))


@pytest.mark.parametrize("name", ["model.pt", "model.PTH", "extra.pkl", "x.ckpt", "pytorch.bin"])
def test_a_pickle_is_refused_by_its_name(folder, name) -> None:
    (folder / "models" / name).write_bytes(b"")
    resign(folder)
    with pytest.raises(BundleError, match=f"{name}.*safetensors"):
        load_bundle(folder)


@pytest.mark.parametrize("kind", ["pickle", "zip", "text"])
def test_a_pickle_under_the_name_of_safetensors_is_refused(folder, kind) -> None:
    path = folder / "models" / "model.safetensors"
    if kind == "pickle":
        path.write_bytes(pickle.dumps(Trap()))
    elif kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("data.pkl", pickle.dumps(Trap()))
    else:
        path.write_text("version https://git-lfs.github.com/spec/v1")
    resign(folder)
    with pytest.raises(BundleError, match=r"model\.safetensors"):
        load_bundle(folder)


def test_a_pickle_under_a_harmless_name_is_refused(folder) -> None:
    (folder / "docs" / "notes.txt").write_bytes(pickle.dumps(Trap()))
    resign(folder)
    with pytest.raises(BundleError, match=r"notes\.txt"):
        load_bundle(folder)


def test_damaged_safetensors_are_a_bundle_error(folder) -> None:
    path = folder / "models" / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    resign(folder)
    with pytest.raises(BundleError, match=r"model\.safetensors"):
        load_bundle(folder).network()


@pytest.mark.parametrize("field", [*COMMON_FIELDS, "sequences_out"])
def test_a_missing_field_is_named(folder, field) -> None:
    change_json(folder / "configs" / "metadata.json", **{field: None})
    resign(folder)
    with pytest.raises(BundleError, match=f"'{field}' is missing in .*metadata.json"):
        load_bundle(folder)


def test_a_segmentation_bundle_needs_its_structures(tmp_path) -> None:
    with pytest.raises(BundleError, match="structures"):
        write_test_bundle(tmp_path / "Bad", "segmentation", structures=[])
    write_test_bundle(tmp_path / "Good", "segmentation")
    assert load_bundle(tmp_path / "Good", "segmentation").structures == ("GTVp", "Brainstem")


def test_a_bundle_for_another_task_is_refused(folder) -> None:
    with pytest.raises(BundleError, match="is for synthesis, not for segmentation"):
        load_bundle(folder, "segmentation")


def test_bundles_are_found_by_name_in_the_users_folder(tmp_path, monkeypatch) -> None:
    write_test_bundle(tmp_path / "First")
    write_test_bundle(tmp_path / "Second", "segmentation")
    monkeypatch.setenv("MRISYNTH_BUNDLES", str(tmp_path))
    assert bundle_roots()[0] == tmp_path.resolve()
    assert load_bundle("testsegmentation", "segmentation").folder.name == "Second"
    assert next(b.name for b in find_bundles("synthesis")) == "TestSynthesis"
    with pytest.raises(BundleError, match="did you mean TestSynthesis"):
        load_bundle("TestSynthetic")


def test_without_any_bundle_the_user_is_told(only_here) -> None:
    assert find_bundles() == []
    with pytest.raises(BundleError, match="No synthesis model is installed"):
        load_bundle()


def test_a_broken_bundle_is_not_offered_but_can_be_asked_for(only_here) -> None:
    write_test_bundle(only_here / "Broken")
    (only_here / "Broken" / "configs" / "inference.json").write_text("{")
    assert find_bundles() == []
    assert len(bundle_folders()) == 1
    with pytest.raises(BundleError, match=r"inference\.json is not JSON"):
        read_bundle(only_here / "Broken")
    with pytest.raises(BundleError, match="hash is wrong"):
        load_bundle("broken")


def test_every_shipped_bundle_is_sound_and_small() -> None:
    shipped = Path(__file__).parents[1] / "Resources" / "Bundles"
    folders = [path for path in bundle_folders() if shipped.resolve() in path.resolve().parents]
    if not folders:
        pytest.skip("no bundles in this checkout")
    tasks = set()
    for folder in folders:
        bundle = verify(folder)
        tasks.add(bundle.task)
        assert bundle.network() is not None
        assert all(p.stat().st_size < 16 * 2**20 for p in folder.rglob("*") if p.is_file())
    assert tasks == set(TASKS)


@pytest.mark.parametrize(
    "definition",
    [
        {"_target_": "os.system", "command": "echo"},
        {"_target_": "builtins.eval", "source": "1"},
        {"_target_": "torch.nn.Conv2d", "in_channels": 1, "out_channels": 1, "kernel_size": 1},
        {"_target_": "monai.networks.utils.torch.load", "f": "x"},
        {"_target_": "monai.networks.nets.basic_unet.nn.Conv2d", "in_channels": 1},
        {"_target_": "monai.networks.utils.save_state", "src": 1, "path": "x"},
        {"_target_": "MRISynthLib.volume.np.load", "file": "x"},
        {"_target_": "MRISynthLib.bundles.verify", "folder": "x"},
        {"_target_": "monai.networksX.nets.BasicUNet"},
        {"_target_": "monai.networks.nets.NoSuchNet"},
        {"_target_": ["monai.networks.nets.BasicUNet"]},
        {**NETWORK, "in_channels": "$__import__('os').getpid()"},
        {**NETWORK, "in_channels": "@network_def"},
        {**NETWORK, "in_channels": "%/other.json::secret"},
        {**NETWORK, "_mode_": "debug"},
        {**NETWORK, "act": {"_target_": "os.getcwd"}},
        {**NETWORK, "features": ["$1"]},
        {**NETWORK, "no_such_argument": 1},
        {"nothing": 1},
        None,
        "$torch.nn.Identity()",
    ],
)
def test_a_definition_can_only_name_a_network(definition) -> None:
    with pytest.raises(BundleError, match=r"inference\.json"):
        build_network(definition, "inference.json")


def test_weights_that_do_not_fit_are_a_bundle_error(tmp_path) -> None:
    weights = {"a": torch.zeros(1)}
    inference = {"network_def": NETWORK}
    bundle = write_bundle(tmp_path / "B", METADATA["synthesis"], inference, weights)
    with pytest.raises(BundleError, match="do not fit"):
        bundle.network()
