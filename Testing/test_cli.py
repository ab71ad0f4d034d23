"""The command line, with a faked worker where the real one would need a trained model."""

from __future__ import annotations

import functools
import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import psutil
import pytest

import fakes
import MRISynthLib.worker
from MRISynthApp.__main__ import main
from MRISynthLib import __version__, io

FOLDER = Path(__file__).parent
TIMINGS = {"load", "register", "synthesize", "first_slice", "segment", "write"}
SCRIPT = f"""
import functools, sys
sys.path.insert(0, {str(FOLDER)!r})
import MRISynthLib.worker
MRISynthLib.worker.WorkerClient = functools.partial(
    MRISynthLib.worker.WorkerClient, tasks=("fakes",)
)
from MRISynthApp.__main__ import main
sys.exit(main())
"""
"""``mrisynth`` with the faked tasks, for a process of its own."""


@pytest.fixture(scope="module")
def scans(tmp_path_factory) -> Path:
    """Real-looking files and a bundle for each task."""
    folder = tmp_path_factory.mktemp("scans")
    io.save(fakes.volume(1, sequence="T1w"), folder / "patient T1w.nii.gz")
    io.save(fakes.volume(2, sequence="T2w"), folder / "patient T2w.nii.gz")
    io.save(fakes.volume(3, sequence=None, name=""), folder / "scan7.nii.gz")
    fakes.write_test_bundle(folder / "bundles" / "Synthesis")
    fakes.write_test_bundle(folder / "bundles" / "Segmentation", "segmentation")
    return folder


@pytest.fixture(autouse=True)
def fake_worker(scans, monkeypatch) -> None:
    client = functools.partial(MRISynthLib.worker.WorkerClient, tasks=("fakes",))
    monkeypatch.setattr(MRISynthLib.worker, "WorkerClient", client)
    monkeypatch.setenv("MRISYNTH_BUNDLES", str(scans / "bundles"))
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def request_for(scans, tmp_path):
    """Arguments of a good request, with others added."""

    def arguments(*more: str, command: str = "synthesize") -> list[str]:
        inputs = ["--input", f"T1w={scans / 'patient T1w.nii.gz'}"]
        inputs += ["--input", str(scans / "patient T2w.nii.gz")]
        output = ["--output", str(tmp_path / "results"), "--device", "cpu"]
        return [command, *inputs, *output, *more]

    return arguments


def answer(capfd, arguments) -> tuple[int, dict, str]:
    """Exit code, the one JSON object, standard error."""
    code = main([*arguments, "--json"])
    captured = capfd.readouterr()
    return code, json.loads(captured.out), captured.err


def refused(capfd, arguments, output: Path | None = None) -> str:
    """The sentence with which a request is refused, having written nothing."""
    code, said, error = answer(capfd, arguments)
    assert code == 2
    assert said["exit_code"] == 2
    assert said["error"] in error.replace("\n", " ")
    assert "Traceback" not in error
    if output is not None:
        assert not output.exists()
    return said["error"]


def test_synthesize_writes_images_uncertainty_and_provenance(capfd, request_for, tmp_path) -> None:
    code, said, _error = answer(capfd, request_for("--target", "t1+c", "--target", "STIR"))
    assert code == 0 and said["exit_code"] == 0
    results = tmp_path / "results"
    names = {"CE-T1w", "CE-T1w_uncertainty", "STIR", "STIR_uncertainty"}
    assert {path.name for path in results.iterdir()} == {
        *(f"{name}.nii.gz" for name in names),
        "provenance.json",
    }
    assert said["outputs"].keys() == {*names, "provenance"}
    assert all(Path(file).is_file() for file in said["outputs"].values())
    image = io.load_one(said["outputs"]["CE-T1w"])
    assert image.is_synthetic and image.same_geometry(fakes.volume(1))
    provenance = json.loads((results / "provenance.json").read_text(encoding="utf-8"))
    assert provenance["images"]["STIR"]["sequence"] == "STIR"
    assert [item["sequence"] for item in provenance["inputs"]] == ["T1w", "T2w"]
    assert provenance["warnings"] == ["This is a fake."]


def test_json_says_all_that_was_promised(capfd, request_for) -> None:
    _, said, _ = answer(capfd, request_for("--target", "CE-T1w"))
    assert said["timings"].keys() >= TIMINGS
    assert said["timings"]["first_slice"] == pytest.approx(0.05)
    assert said["timings"]["segment"] is None
    assert (said["device"], said["dtype"]) == ("cpu", "float32")
    assert said["peak_memory_mb"] > 100
    assert said["warnings"] == ["This is a fake."]
    first, second = said["inputs"]
    assert (first["sequence"], first["named_by_user"], first["confidence"]) == ("T1w", True, 1.0)
    assert (second["sequence"], second["named_by_user"]) == ("T2w", False)
    assert 0.8 <= second["confidence"] <= 1.0 and second["reason"]


def test_what_is_understood_and_how_far_it_is_are_said(capfd, request_for) -> None:
    code = main(request_for("--target", "CE-T1w", "--prompt", "3T, TR 620 TE 10"))
    captured = capfd.readouterr()
    assert code == 0
    assert "Understood as CE-T1w" in captured.err and "TR 620 ms" in captured.err
    assert "of 6" in captured.err
    assert "Warning: This is a fake." in captured.err
    assert "CE-T1w.nii.gz" in captured.out and "synthetic CE-T1w" in captured.out
    assert "a library says hello" not in captured.out


def test_a_prompt_alone_says_what_to_make(capfd, request_for) -> None:
    _, said, _ = answer(capfd, request_for("--prompt", "post-gadolinium T1"))
    assert "CE-T1w" in said["outputs"]


def test_nrrd_is_written_where_asked_for(capfd, request_for, tmp_path) -> None:
    _, said, _ = answer(capfd, request_for("--target", "STIR", "--format", "nrrd"))
    assert said["outputs"]["STIR"] == str(tmp_path / "results" / "STIR.nrrd")
    assert io.load_one(said["outputs"]["STIR"]).is_synthetic


def test_segment_writes_what_slicer_loads(capfd, request_for, tmp_path) -> None:
    pytest.importorskip("slicerio")
    from MRISynthSegmentLib.io import load_segmentation

    arguments = request_for("--structures", "gtvp,Brainstem", command="segment")
    code, said, _ = answer(capfd, arguments)
    assert code == 0
    assert said["outputs"] == {"segmentation": str(tmp_path / "results" / "segmentation.seg.nrrd")}
    loaded = load_segmentation(said["outputs"]["segmentation"], fakes.volume(1))
    assert loaded.volume_ml("GTVp") == pytest.approx(said["structures"]["GTVp"], abs=1e-3)
    assert said["structures"]["GTVp"] > 0 and said["structures"]["Brainstem"] == 0
    assert said["timings"]["segment"] == pytest.approx(0.4)


def test_a_small_structure_is_not_nothing_on_the_terminal():
    from MRISynthApp.cli_segment import structure_table
    from MRISynthSegmentLib.segmentation import Segmentation

    image = fakes.volume(1)
    masks = {name: np.zeros(image.shape, bool) for name in ("Brainstem", "Pituitary", "Larynx")}
    masks["Brainstem"][:] = True
    masks["Pituitary"][1, 2, 3] = True
    columns = structure_table(Segmentation(masks, image), "").columns
    assert list(columns[2].cells)[1:] == ["< 0.1 ml", "not found"]


def test_segment_as_nifti_lists_every_file(capfd, request_for) -> None:
    _, said, _ = answer(capfd, request_for("--format", "nii.gz", command="segment"))
    assert said["outputs"]["segmentation"].endswith("segmentation.nii.gz")
    assert len(said["files"]) == 4
    assert all(Path(file).is_file() for file in said["files"])


def test_an_input_that_is_not_recognised_is_asked_for(capfd, scans, tmp_path) -> None:
    arguments = ["synthesize", "--input", str(scans / "scan7.nii.gz"), "--target", "STIR"]
    output = tmp_path / "results"
    sentence = refused(capfd, [*arguments, "--output", str(output)], output)
    assert "scan7.nii.gz" in sentence and "--input T1w=" in sentence


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--target", "T1w"], "T1w is both an input and a target"),
        (["--target", "T2w"], "T2w is both an input and a target"),
        (["--target", "CE-T1w-FS"], "cannot make CE-T1w-FS; it makes T1w, T2w, CE-T1w, STIR"),
        (["--target", "STIRR"], "the nearest are STIR"),
        (["--prompt", "a nice picture"], "a nice picture"),
        ([], "--target NAME or --prompt"),
        (["--target", "STIR", "--device", "gpu"], "auto, cpu, cuda, mps"),
        (["--target", "STIR", "--model", "TestSynthesi"], "did you mean TestSynthesis"),
        (["--target", "STIR", "--model", "TestSegmentation"], "is for segmentation"),
        (["--target", "STIR", "--input", "FLAIR=nowhere.nii"], "no file or folder nowhere.nii"),
        (["--target", "STIR", "--input", "T3w=nowhere.nii"], "'T3w' in --input"),
        (["--target", "STIR", "--input", "T1c="], "names no file"),
        (["--target", "STIR", "--format", "gif"], "gif"),
        (["--target", "STIR", "--seed", "many"], "--seed"),
        (["--target", "STIR", "--frobnicate"], "--frobnicate"),
    ],
)
def test_a_wrong_request_is_refused_with_one_sentence(
    capfd, request_for, tmp_path, more, words
) -> None:
    assert words in refused(capfd, request_for(*more), tmp_path / "results")


def test_the_same_file_twice_is_refused(capfd, request_for, scans, tmp_path) -> None:
    again = str(scans / "." / "patient T1w.nii.gz")
    sentence = refused(
        capfd, request_for("--target", "STIR", "--input", f"PDw={again}"), tmp_path / "results"
    )
    assert "given twice" in sentence


def test_two_inputs_of_one_sequence_are_refused(capfd, request_for, scans, tmp_path) -> None:
    more = ["--target", "STIR", "--input", f"T2w={scans / 'scan7.nii.gz'}"]
    assert "two inputs" in refused(capfd, request_for(*more), tmp_path / "results")


def test_a_file_that_is_no_image_is_refused(capfd, tmp_path) -> None:
    (tmp_path / "T1w.nii.gz").write_text("not an image")
    arguments = ["synthesize", "--input", str(tmp_path / "T1w.nii.gz"), "--target", "STIR"]
    output = tmp_path / "results"
    assert "T1w.nii.gz" in refused(capfd, [*arguments, "--output", str(output)], output)


def test_an_output_that_cannot_be_written_is_refused_before_the_work(
    capfd, request_for, tmp_path
) -> None:
    (tmp_path / "results").write_text("a file is in the way")
    sentence = refused(capfd, request_for("--target", "STIR", "--seed", str(fakes.SLOW_SEED)))
    assert "results" in sentence


def test_a_result_never_takes_the_place_of_an_input(capfd, scans, tmp_path) -> None:
    source = tmp_path / "STIR.nii.gz"
    source.write_bytes((scans / "patient T1w.nii.gz").read_bytes())
    before = source.read_bytes()
    arguments = ["synthesize", "--input", f"T1w={source}", "--target", "STIR"]
    assert "overwrite" in refused(capfd, [*arguments, "--output", str(tmp_path)])
    assert source.read_bytes() == before


def test_an_unknown_structure_is_refused(capfd, request_for, tmp_path) -> None:
    arguments = request_for("--structures", "GTVp,Brainstam", command="segment")
    assert "Brainstem" in refused(capfd, arguments, tmp_path / "results")


def test_a_path_with_an_equals_sign_or_a_drive_is_a_path(tmp_path, monkeypatch) -> None:
    from MRISynthApp.inputs import parse_input

    odd = tmp_path / "T1w=second try.nii"
    odd.write_text("")
    monkeypatch.chdir(tmp_path)
    assert parse_input(str(odd)) == (None, odd)
    assert parse_input("T1w=second try.nii") == (None, Path("T1w=second try.nii"))
    assert parse_input(f"t2={odd}") == ("T2w", odd)
    assert parse_input(f"CE-T1w={odd.name}") == ("CE-T1w", Path(odd.name))
    with pytest.raises(MRISynthLib.errors.InputError, match="no file or folder"):
        parse_input(r"C:\scans\a=b.nii")


def test_a_changed_bundle_is_refused_before_anything_else(capfd, request_for, tmp_path) -> None:
    folder = fakes.write_test_bundle(tmp_path / "Changed").folder
    with (folder / "models" / "model.safetensors").open("ab") as stream:
        stream.write(b"x")
    more = ["--target", "STIR", "--model", str(folder)]
    assert "model.safetensors" in refused(capfd, request_for(*more), tmp_path / "results")


def test_version_and_help(capfd) -> None:
    assert main(["--version"]) == 0
    assert capfd.readouterr().out.strip() == f"mrisynth {__version__}"
    assert main([]) == 0
    listed = capfd.readouterr().out
    commands = ("synthesize", "segment", "export", "compare", "demo", "bundle")
    commands += ("train", "evaluate", "simulate")
    assert all(command in listed for command in commands)
    for command in commands:
        assert main([command, "--help"]) == 0
        assert "Usage" in capfd.readouterr().out


def test_a_dead_worker_gives_exit_code_1(capfd, request_for, tmp_path, monkeypatch) -> None:
    client = functools.partial(MRISynthLib.worker.WorkerClient, python="no-such-python")
    monkeypatch.setattr(MRISynthLib.worker, "WorkerClient", client)
    code, said, error = answer(capfd, request_for("--target", "STIR"))
    assert code == 1 and said["exit_code"] == 1
    assert "no-such-python" in said["error"] and "Traceback" not in error
    assert not (tmp_path / "results").exists()


def test_only_json_reaches_standard_output_of_the_process(request_for) -> None:
    command = [sys.executable, "-c", SCRIPT, *request_for("--target", "STIR", "--json")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["outputs"]
    assert "of 6" in done.stderr


@pytest.mark.skipif(os.name == "nt", reason="signals as on POSIX")
@pytest.mark.parametrize("presses", [1, 3])
def test_ctrl_c_stops_the_worker_and_leaves_nothing(request_for, tmp_path, presses) -> None:
    slow = request_for("--target", "STIR", "--seed", str(fakes.SLOW_SEED), "--json")
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, *slow],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    for line in process.stderr:
        if "of 6" in line:
            break
    workers = psutil.Process(process.pid).children(recursive=True)
    assert workers and (tmp_path / "results").exists()
    for _ in range(presses):
        process.send_signal(signal.SIGINT)
        time.sleep(0.05)
    output, error = process.communicate(timeout=30)
    assert process.returncode == 1
    assert json.loads(output)["error"] == "Stopped; nothing was written."
    assert "Traceback" not in error
    assert not (tmp_path / "results").exists()
    _, alive = psutil.wait_procs(workers, timeout=10)
    assert alive == []


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ("--sequences T1w,T5", "nearest"),
        ("--hospital inside-99", "nearest"),
        ("--beside t1.nii.gz", "give --gallery"),
        ("--gallery g.png", "leave out --output"),
        ("--set inside-01-siemens-1.5t", "give --benchmark v1 too"),
        ("--benchmark v2", "only version is v1"),
        ("--benchmark v1 --set nowhere", "nearest"),
        ("--benchmark v1 --seed 0", "leave out --seed"),
        ("--benchmark v1 --hospital inside-01-siemens-1.5t", "leave out --hospital"),
        ("--benchmark v1 --atlas-mapping m.json", "leave out --atlas-mapping"),
        ("--atlas atlas", "name their folder"),
        ("--anatomy nowhere", "nowhere"),
        ("--anatomy nowhere --atlas-mapping m.json", "give --atlas"),
        ("--seed 281474976710656", "benchmark"),
    ],
)
def test_simulate_refuses_what_cannot_be_made(capfd, tmp_path, options, says) -> None:
    output = tmp_path / "patients"
    assert says in refused(capfd, ["simulate", "-o", str(output), *options.split()], output)


@pytest.fixture
def asked_for(monkeypatch):
    """Requests that reach the simulation, which makes nothing but stops the gallery's."""
    asked = []

    def make(requests, output, jobs, callbacks):
        asked.extend(requests)
        return [output / request.name for request in requests]

    def join(requests, jobs, callbacks):
        asked.extend((request, jobs) for request in requests)
        raise KeyboardInterrupt

    monkeypatch.setattr("MRISynthLib.simulation.simulate", make)
    monkeypatch.setattr("MRISynthLib.simulation.writing.join_atlas", join)
    return asked


def test_simulate_makes_a_sequence_once_however_often_it_is_named(capfd, asked_for) -> None:
    code, said, _ = answer(capfd, ["simulate", "--sequences", "T2w,T1w,T1"])
    assert code == 0 and list(said["outputs"].values()) == [str(Path("cohort/sub-virtual000000"))]
    assert asked_for[0].sequences == ("T2w", "T1w") and asked_for[0].format == "nii.gz"


def test_the_gallery_tries_its_picture_first_and_says_that_it_left_nothing(
    capfd, tmp_path, asked_for
) -> None:
    lost = str(tmp_path / "none" / "g.png")
    assert "no folder" in refused(capfd, ["simulate", "--gallery", lost]) and not asked_for
    good = ["simulate", "--gallery", str(tmp_path / "g.png"), "--jobs", "3"]
    assert "leave out --format" in refused(capfd, [*good, "--format", "dicom"])
    code, said, _ = answer(capfd, good)
    assert code == 1 and said["error"] == "Stopped; nothing was written."
    assert [jobs for _, jobs in asked_for] == [3] and not list(tmp_path.iterdir())


@pytest.mark.parametrize("model", ["synthesis", "segmentation"])
@pytest.mark.parametrize(
    ("options", "says"),
    [
        ("--benchmark v2", "only version is v1"),
        ("--benchmark v1 --set nowhere", "nearest"),
        ("--benchmark v1 --label-maps heads", "leave out --label-maps"),
        ("--mapping m.json", "name their folder"),
        ("--seed 1000000", "trained on"),
        ("--seed 281474976710656", "benchmark"),
    ],
)
def test_evaluate_refuses_what_cannot_be_measured(capfd, tmp_path, model, options, says) -> None:
    arguments = ["evaluate", model, "-o", str(tmp_path / "figures"), *options.split()]
    assert says in refused(capfd, arguments, tmp_path / "figures")


def test_simulate_says_that_sets_are_a_part_of_the_benchmark(capfd, tmp_path, asked_for) -> None:
    sets = "outside-02-philips-3t, inside-01-siemens-1.5t"
    arguments = ["simulate", "--output", str(tmp_path), "--benchmark", "v1"]
    code, said, _ = answer(capfd, [*arguments, "--set", sets, "--cases", "2"])
    assert code == 0 and "not benchmark v1" in said["warnings"][0]
    wanted = [f"{name.strip()}-{number}" for name in sets.split(",") for number in (0, 1)]
    assert [request.name for request in asked_for] == list(said["outputs"]) == wanted
    code, said, _ = answer(capfd, arguments)
    assert code == 0 and said["warnings"] == [] and len(said["outputs"]) == 104


def test_training_needs_its_settings(capfd, tmp_path) -> None:
    pytest.importorskip("yaml")
    assert main(["train", "synthesis", str(tmp_path / "none.yaml")]) == 2
    assert "none.yaml" in capfd.readouterr().err


def test_images_are_unchanged_by_all_this(scans) -> None:
    np.testing.assert_array_equal(
        io.load_one(scans / "patient T1w.nii.gz").voxels, fakes.volume(1).voxels
    )


@pytest.fixture
def small_patient(monkeypatch):
    """A patient that takes no time to simulate, in the place of the built-in one."""
    from MRISynthLib import simulation
    from MRISynthLib.simulation.cases import VirtualPatient

    names = ("T1w", "T2w", "CE-T1w", "STIR")
    shape = (8, 48, 40)
    volumes = {
        name: fakes.head(seed, shape, sequence=name, name=name) for seed, name in enumerate(names)
    }
    tumour = np.zeros(shape, bool)
    tumour[2:4, 8:12, 10:14] = True
    patient = VirtualPatient(
        name="virtual-2026",
        volumes=volumes,
        segmentation_masks={"GTVp": tumour},
        tissue=np.zeros(shape, np.uint8),
        second_tissue=np.zeros(shape, np.uint8),
        tissue_share=np.ones(shape, np.float32),
        protocols={},
        description={"stage": "T2"},
    )
    monkeypatch.setattr(simulation, "demo_patient", lambda *_: patient, raising=False)
    return patient


def test_the_demo_leaves_a_scene_a_report_and_every_file_it_names(
    capfd, tmp_path, small_patient
) -> None:
    pytest.importorskip("slicer")
    pytest.importorskip("jinja2")
    output = tmp_path / "demo"
    code, said, error = answer(capfd, ["demo", "--output", str(output), "--device", "cpu"])
    assert code == 0, error
    assert {path.name for path in output.iterdir()} == set(said["outputs"])
    assert said["outputs"].keys() >= {
        "T1w.nii.gz",
        "CE-T1w.nii.gz",
        "CE-T1w_uncertainty.nii.gz",
        "truth_STIR.nii.gz",
        "segmentation.seg.nrrd",
        "scene.mrb",
        "report.html",
        "provenance.json",
    }
    report = (output / "report.html").read_text(encoding="utf-8")
    assert "virtual-2026" in report and "This is a fake." in report and "GTVp" in report
    assert report.count("data:image/png") >= 12
    assert "http://" not in report.replace("http://www.w3.org", "")
    with zipfile.ZipFile(output / "scene.mrb") as scene:
        names = " ".join(scene.namelist())
    assert ".mrml" in names and "SYNTHETIC" in names and ".seg.nrrd" in names


def test_the_demo_on_own_images_leaves_them_alone(capfd, tmp_path) -> None:
    pytest.importorskip("jinja2")
    for name in ("T1w", "T2w"):
        io.save(fakes.head(3, (8, 48, 40), sequence=name, name=name), tmp_path / f"{name}.nii.gz")
    inputs = [f"--input={tmp_path / name}.nii.gz" for name in ("T1w", "T2w")]
    code, said, error = answer(capfd, ["demo", *inputs, "--output", str(tmp_path / "demo")])
    assert code == 0, error
    assert not any(name.startswith(("truth_", "T1w")) for name in said["outputs"])
    before = (tmp_path / "demo" / "STIR.nii.gz").read_bytes()
    given = f"--input=T1w={tmp_path / 'demo' / 'STIR.nii.gz'}"
    assert "overwrite" in refused(capfd, ["demo", given, "--output", str(tmp_path / "demo")])
    assert (tmp_path / "demo" / "STIR.nii.gz").read_bytes() == before
