"""``mrisynth bundle``: what is installed, importing and removing."""

from __future__ import annotations

import json

import pytest

from fakes import write_test_bundle
from MRISynthApp.__main__ import main
from MRISynthLib.bundles import FOLDERS_VARIABLE


@pytest.fixture
def own(tmp_path, monkeypatch):
    """The folder of the imported models; a model lies where the user keeps it."""
    kept = tmp_path / "kept"
    write_test_bundle(kept / "Synthesis", name="TestSynthesis")
    monkeypatch.setenv("MRISYNTH_IMPORTED", str(tmp_path / "imported"))
    monkeypatch.setenv(FOLDERS_VARIABLE, str(kept))
    return tmp_path / "imported"


def answer(capfd, *arguments):
    """Exit code and the one JSON object."""
    code = main(["bundle", *map(str, arguments), "--json"])
    captured = capfd.readouterr()
    assert "Traceback" not in captured.err
    said = json.loads(captured.out)
    assert said["exit_code"] == code
    return code, said


def refused(capfd, *arguments):
    """The one sentence of a refusal."""
    code, said = answer(capfd, *arguments)
    assert code == 2
    return said["error"]


def listed(capfd):
    code, said = answer(capfd, "list")
    assert code == 0
    return {bundle["name"]: bundle for bundle in said["bundles"]}


def test_models_are_listed_with_source_and_size_shown_and_verified(capfd, own):
    models = listed(capfd)
    assert models["TestSynthesis"]["sequences_out"] == ["T1w", "T2w", "CE-T1w", "STIR"]
    assert models["TestSynthesis"]["source"] == "own folder"
    shipped = {name: each for name, each in models.items() if each["source"] == "shipped"}
    assert {"synthesis", "segmentation"} == {each["task"] for each in shipped.values()}
    assert all(each["bytes"] > 1e6 for each in shipped.values())
    assert main(["bundle", "list"]) == 0
    table = capfd.readouterr().out
    assert "shipped" in table and "MB" in table and "TestSynthesis" in table
    assert main(["bundle", "show", "TestSynthesis"]) == 0
    assert "TestSynthesis 1.2.3" in capfd.readouterr().out
    code, said = answer(capfd, "verify", own.parent / "kept" / "Synthesis")
    assert code == 0 and said["bundle"]["parameters"] > 0
    assert "did you mean" in refused(capfd, "verify", "TestSynthesi")


def test_a_model_is_imported_used_from_its_copy_and_removed(capfd, own, tmp_path):
    write_test_bundle(tmp_path / "mine", name="Mine")
    write_test_bundle(tmp_path / "other" / "mine", name="Other")
    for folder in (tmp_path / "mine", tmp_path / "other" / "mine"):  # folders of one name
        code, said = answer(capfd, "import", folder)
        assert code == 0 and said["bundle"]["source"] == "imported"
    assert {"Mine", "Other"} <= listed(capfd).keys()
    assert "imported already; remove it first" in refused(capfd, "import", tmp_path / "mine")
    code, said = answer(capfd, "remove", "mine")
    assert code == 0 and said["removed"] == "Mine"
    assert "Mine" not in listed(capfd) and "Other" in listed(capfd)
    assert (tmp_path / "mine").is_dir(), "the folder that was imported stays"
    assert "no model" in refused(capfd, "remove", "Mine")


def test_the_folder_at_hand_can_be_imported(capfd, own, tmp_path, monkeypatch):
    write_test_bundle(tmp_path / "mine", name="Mine")
    monkeypatch.chdir(tmp_path / "mine")
    assert answer(capfd, "import", ".")[0] == 0
    assert (own / "mine").is_dir()


def test_what_is_no_sound_model_is_refused_and_leaves_nothing(capfd, own, tmp_path):
    (tmp_path / "pictures").mkdir()
    assert "is no model" in refused(capfd, "import", tmp_path / "pictures")
    assert "no bundle folder" in refused(capfd, "import", tmp_path / "nowhere")
    folder = write_test_bundle(tmp_path / "mine", name="Mine").folder
    with (folder / "models" / "model.safetensors").open("ab") as stream:
        stream.write(b"x")
    assert "model.safetensors" in refused(capfd, "import", folder)
    assert not own.exists() or not list(own.iterdir())
    namesake = write_test_bundle(tmp_path / "namesake", name="NPC-AnyToAll")
    assert "is shipped with MRISynth" in refused(capfd, "import", namesake.folder)


def test_only_imported_models_can_be_removed_also_damaged_ones(capfd, own, tmp_path):
    assert "is shipped with MRISynth and stays" in refused(capfd, "remove", "NPC-AnyToAll")
    assert "was not imported" in refused(capfd, "remove", "TestSynthesis")
    assert {"NPC-AnyToAll", "TestSynthesis"} <= listed(capfd).keys()
    write_test_bundle(tmp_path / "mine", name="Mine")
    answer(capfd, "import", tmp_path / "mine")
    (own / "mine" / "configs" / "metadata.json").write_text("no JSON", encoding="utf-8")
    assert "Mine" not in listed(capfd)
    assert answer(capfd, "remove", "mine")[0] == 0 and not list(own.iterdir())
