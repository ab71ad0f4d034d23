"""Settings of a training run: files over defaults, references, overrides, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from MRISynthApp.__main__ import main
from MRISynthLib.errors import InputError
from MRISynthLib.training.configuration import COMMON_DEFAULTS, DATA_DEFAULTS, read_config

DEFAULTS = {
    **COMMON_DEFAULTS,
    **DATA_DEFAULTS,
    "steps": 100,
    "learning_rate": 1e-3,
    "size": [128, 128],
    "network_options": {},
    "flip": True,
    "target_weights": {"T2w": 1.0},
}
RESOURCES = Path(__file__).resolve().parents[1] / "Resources" / "Training"


@pytest.fixture
def read(tmp_path):
    """What the given text (of a file of that name) changes in the defaults."""

    def changed(text: str, *overrides: str, name: str = "a.yaml"):
        (tmp_path / name).write_text(text)
        config = read_config(tmp_path / name, DEFAULTS, overrides)
        return {field: value for field, value in config.items() if value != DEFAULTS[field]}

    return changed


def test_later_files_overrule_earlier_ones_and_options_overrule_files(tmp_path):
    base, more = tmp_path / "base.yaml", tmp_path / "gpu.json"
    base.write_text("steps: 10\nlearning_rate: 2e-3\ntarget_weights: {T1w: 2}\n")
    more.write_text('{"steps": 20, "precision": "fp32"}')
    overrides = ["learning_rate=1e-2", "target_weights::STIR=4", "network_options::widths=[8, 8]"]
    config = read_config([base, more], DEFAULTS, overrides)
    assert (config["steps"], config["precision"]) == (20, "fp32")
    assert config["learning_rate"] == 0.01
    assert config["target_weights"] == {"T1w": 2, "STIR": 4}
    assert config["network_options"] == {"widths": [8, 8]}
    assert config["seed"] == DEFAULTS["seed"]
    assert DEFAULTS["network_options"] == {}


def test_values_take_the_type_of_the_default(read):
    assert read("learning_rate: 5e-4\nsteps: 1e4\nsize: [64.0, 32]") == {
        "learning_rate": 5e-4,
        "steps": 10_000,
        "size": [64, 32],
    }
    assert read("data: [a, b]\nflip: false") == {"data": ["a", "b"], "flip": False}
    assert read("") == read("learning_rate: 0.001") == {}


def test_references_of_a_bundle_are_followed(read, tmp_path):
    (tmp_path / "other.json").write_text('{"rates": {"slow": 0.25}, "name": "x"}')
    text = f"""
_side: 48
size: ['@_side', '@_side']
learning_rate: '%{tmp_path}/other.json::rates::slow'
network_options: {{width: '@size::0', name: 'x#y', path: '@home/x'}}
"""
    assert read(text) == {
        "size": [48, 48],
        "learning_rate": 0.25,
        "network_options": {"width": 48, "name": "x#y", "path": "@home/x"},
    }


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("learning_rate: '$0.1 * 2'", r"learning_rate in .*a\.yaml has the expression '\$0\.1"),
        ("network_options: {a: [{_target_: os.system}]}", r"network_options .*object \(_target_"),
        ('_x: \'$__import__("os").mkdir("MADE")\'', "the expression .*never run"),
        ("steps: '%OTHER::code'", "steps in .* an expression or an object of another file"),
        ("network_options: '%OTHER'", "network_options in .* an expression or an object"),
        ("steps: '%OTHER::again'", "steps in .*must be a whole number"),
    ],
)
def test_nothing_in_a_configuration_is_run(read, tmp_path, text, says):
    code = f"$__import__('os').mkdir({str(tmp_path / 'made')!r})"
    other = tmp_path / "other.json"
    content = {"code": code, "import": "$import os", "again": f"%{other}::code"}
    other.write_text(json.dumps({**content, "object": {"_target_": "os.mkdir", "path": "x"}}))
    with pytest.raises(InputError, match=says):
        read(text.replace("OTHER", str(other)).replace("MADE", str(tmp_path / "made")))
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("steps: many", r"The field steps in .*a\.yaml must be a whole number, not 'many'"),
        ("steps: 1.5", "whole number"),
        ("steps: true", "whole number"),
        ("steps:", "whole number"),
        ("learning_rate: .inf", "learning_rate .*must be a number"),
        ("size: 128", r"size .*a list such as \[1, 2\], not 128"),
        ("size: [128]", "size .*two numbers"),
        ("size: [a, b]", "size .*whole number, not 'a'"),
        ("flip: 1", "flip .*true or false"),
        ("precision: 16", "precision .*must be text"),
        ("precision: fp16", "precision .*choose bf16 or fp32"),
        ("label_maps: [a]", "label_maps .*must be a path"),
        ("data: 3", "data .*must be a path"),
        ("network_options: [a]", "network_options .*name: value"),
        ("network_options: {a: 2020-01-01}", "network_options .*kind date"),
        ("accumulate: 0", "accumulate .*at least 1"),
        ("data_share: 1.5", "data_share .*between 0 and 1"),
        ("target_weights: {T2w: -1}", "target_weights .*below 0"),
        ("target_weights: {T2w: x}", "target_weights .*T2w must be a number"),
        ("steps: '@stepss'", "leads nowhere.*stepss"),
        ("steps: '@steps'", "leads nowhere.*circular"),
        ("steps: '%none.yaml::a'", r"leads nowhere.*none\.yaml"),
        ("stepss: 3", r"The field stepss in .*a\.yaml is unknown; known are .*steps"),
    ],
)
def test_mistakes_are_told_with_file_and_field(read, text, says):
    with pytest.raises(InputError, match=says):
        read(text)


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("steps", "'steps' of --set is not field=value"),
        ("steps=x", "The field steps in --set must be a whole number"),
        ("stepss=1", "The field stepss in --set is unknown"),
        ("steps::a=1", "names a part of steps, which has no parts"),
        ("steps=[", "has a value that is no YAML"),
    ],
)
def test_mistakes_in_options_are_told(read, override, says):
    with pytest.raises(InputError, match=says):
        read("", override)


def test_a_file_that_cannot_be_read_is_told(read, tmp_path):
    with pytest.raises(InputError, match=r"b\.json is not valid JSON"):
        read('{"steps": 5', name="b.json")
    with pytest.raises(InputError, match="cannot be read"):
        read_config(tmp_path, DEFAULTS)
    (tmp_path / "c.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="cannot be read"):
        read_config(tmp_path / "c.yaml", DEFAULTS)


def test_the_settings_that_are_shipped_can_be_read():
    from MRISynthLib.training.synthesis import DEFAULTS as SYNTHESIS
    from MRISynthSegmentLib.training import DEFAULTS as SEGMENTATION

    for name, defaults in (("synthesis", SYNTHESIS), ("segmentation", SEGMENTATION)):
        assert read_config(RESOURCES / f"{name}.yaml", defaults)["procedural"] == 64


def test_the_command_line_hands_on_files_and_options(tmp_path, monkeypatch, capfd):
    seen = []

    def train(*asked):
        seen.append(asked)
        asked[3]("a line")
        return asked[1]

    monkeypatch.setattr("MRISynthSegmentLib.training.train_segmentation", train)
    files = [tmp_path / "a.yaml", tmp_path / "b.yaml"]
    for file in files:
        file.touch()
    options = ["--set", "steps=3", "--set", "seed=4", "-o", str(tmp_path / "run"), "--resume"]
    assert main(["train", "segmentation", *map(str, files), *options]) == 0
    configs, output, resume, _, overrides = seen[0]
    assert (configs, output, resume) == (files, tmp_path / "run", True)
    assert list(overrides) == ["steps=3", "seed=4"]
    assert str(tmp_path / "run") in capfd.readouterr().out.replace("\n", "")
    monkeypatch.undo()
    assert (
        main(["train", "segmentation", str(files[0]), "--set", "steps", "-o", str(tmp_path)]) == 2
    )
    assert "'steps' of --set is not field=value" in capfd.readouterr().err
