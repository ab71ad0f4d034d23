"""The whole chain, from the images at hand to a scene and a report."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from MRISynthLib import io
from MRISynthLib.bundles import load_bundle
from MRISynthLib.errors import InputError
from MRISynthLib.io.output import staged_folder
from MRISynthLib.progress import Callbacks
from MRISynthLib.volume import Volume
from MRISynthLib.worker import TaskResult, WorkerClient
from MRISynthSegmentLib.io import save_segmentation
from MRISynthSegmentLib.segmentation import Segmentation
from MRISynthSegmentLib.task import segmentation_from

from .cli_segment import volumes_ml
from .cli_synthesize import (
    check_possible,
    provenance_record,
    refuse_overwriting,
    wanted_contrasts,
    write_images,
    write_json,
)
from .focus import covered_by_all
from .inputs import Input, parse_inputs, read_inputs
from .progress_display import ProgressDisplay
from .session import Session

TARGETS = ("CE-T1w", "STIR")
INPUTS = ("T1w", "T2w")
FORMAT = "nii.gz"
SEGMENTATION, SCENE, REPORT, PROVENANCE = (
    "segmentation.seg.nrrd",
    "scene.mrb",
    "report.html",
    "provenance.json",
)


@dataclass
class DemoCase:
    """Everything that the demonstration has and made.

    ``given`` are the inputs on the reference's grid; ``truth`` and ``true_structures`` are
    empty unless the patient is simulated. ``covered`` is where on that grid every input has voxels,
    None if everywhere. ``files`` maps a file name to what it is.
    """

    name: str
    inputs: list[Input]
    simulated: bool
    truth: Mapping[str, Volume] = field(default_factory=dict)
    true_structures: Mapping[str, np.ndarray] = field(default_factory=dict)
    contrasts: Sequence[Any] = ()
    given: list[Volume] = field(default_factory=list)
    covered: np.ndarray | None = None
    synthesis: TaskResult = field(default_factory=TaskResult)
    segmentation: Segmentation | None = None
    provenance: dict[str, Any] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)

    @property
    def targets(self) -> list[str]:
        """Names of the synthetic images."""
        return [contrast.sequence for contrast in self.contrasts]

    @property
    def synthetic(self) -> dict[str, Volume]:
        """Target -> synthetic image."""
        return {name: self.synthesis[name] for name in self.targets}

    @property
    def uncertainty(self) -> dict[str, Volume]:
        """Target -> expected error, in the image's units."""
        return {name: self.synthesis[f"{name}_uncertainty"] for name in self.targets}

    @property
    def understood(self) -> dict[str, str]:
        """Target -> what was made, in words, with what the inputs' headers added."""
        return {name: image.provenance.understood for name, image in self.synthetic.items()}


def run_demo(run: Session, output: Path, inputs: Sequence[str], seed: int, device: str) -> None:
    """Make everything in ``output``, or, if anything goes wrong, nothing.

    Raises
    ------
    MRISynthError
        As ``synthesize`` and ``segment`` do.
    """
    parsed = parse_inputs(inputs) if inputs else []
    synthesis_bundle = load_bundle(None, "synthesis")
    segmentation_bundle = load_bundle(None, "segmentation")
    with WorkerClient(device) as client, staged_folder(output) as stage:
        client.start()
        with run.timed("load"):
            case = _own_case(run, parsed) if parsed else _simulated_case(run, seed)
        given = [item.volume.sequence for item in case.inputs]
        wanted = [name for name in TARGETS if name not in given]
        if not wanted:
            raise InputError(
                f"Nothing is left to make: {' and '.join(TARGETS)} are both given; leave out one."
            )
        case.contrasts = wanted_contrasts(wanted, "")
        check_possible(case.contrasts, synthesis_bundle, given)
        _list_files(case)
        refuse_overwriting(output, case.files, [path for _, path in parsed])
        _synthesize(run, client, case, str(synthesis_bundle.folder))
        _segment(run, client, case, segmentation_bundle)
        client.close()
        with run.timed("write"):
            _write(run, case, stage, synthesis_bundle)
            _write_scene_and_report(run, case, stage, output)
        run.check()
    run.record["outputs"] = {name: str(output / name) for name in case.files}
    run.record["structures"] = volumes_ml(case.segmentation)
    run.show(_table(case, output))


def _simulated_case(run: Session, seed: int) -> DemoCase:
    from MRISynthLib.simulation import demo_patient

    run.say("Making the simulated patient")
    with ProgressDisplay(run.console) as display:
        patient = demo_patient(seed, Callbacks(on_progress=display))
    inputs = [
        Input(Path(f"{name}.{FORMAT}"), patient.volumes[name], 1.0, "It was simulated so.", False)
        for name in INPUTS
    ]
    run.record["inputs"] = [item.record() for item in inputs]
    truth = {name: volume for name, volume in patient.volumes.items() if name not in INPUTS}
    return DemoCase(
        f"Simulated patient {patient.name}", inputs, True, truth, patient.segmentation_masks
    )


def _own_case(run: Session, parsed: Sequence[tuple[str | None, Path]]) -> DemoCase:
    inputs = read_inputs(parsed, run)
    return DemoCase(inputs[0].path.name, inputs, False)


def _list_files(case: DemoCase) -> None:
    files = case.files
    if case.simulated:
        files |= {f"{name}.{FORMAT}": f"the patient's {name} (simulated)" for name in INPUTS}
        truth = [name for name in case.targets if name in case.truth]
        files |= {f"truth_{name}.{FORMAT}": f"{name} as it should be" for name in truth}
    for name in case.targets:
        files[f"{name}.{FORMAT}"] = f"synthetic {name}"
        files[f"{name}_uncertainty.{FORMAT}"] = f"where the synthetic {name} is doubtful"
    files[SEGMENTATION] = "tumour and organs at risk, for 3D Slicer"
    files[PROVENANCE] = "how the synthetic images were made"
    if scene_available():
        files[SCENE] = "everything, laid out side by side: open it in 3D Slicer"
    files[REPORT] = "pictures and numbers: open it in a browser"


def scene_available() -> bool:
    """Whether slicer-core is installed."""
    return importlib.util.find_spec("slicer") is not None


def _synthesize(run: Session, client: WorkerClient, case: DemoCase, bundle: str) -> None:
    parameters = {
        "targets": [{"sequence": name, "prompt": ""} for name in case.targets],
        "bundle": bundle,
        "return_inputs": True,
    }
    volumes = [item.volume for item in case.inputs]
    job = client.submit("synthesis", parameters, volumes, slices=False)
    case.synthesis = run.follow(client, job)
    case.given = [case.synthesis[f"input_{number}"] for number in range(len(volumes))]
    case.covered = covered_by_all(volumes, case.synthesis.info["registrations"])


def _segment(run: Session, client: WorkerClient, case: DemoCase, bundle: Any) -> None:
    """Delineate on real and synthetic images together; they share the reference's grid."""
    images = [*case.given, *case.synthetic.values()]
    images = [image for image in images if image.sequence in bundle.sequences_in]
    parameters = {"bundle": str(bundle.folder), "register": False}
    job = client.submit("segmentation", parameters, images, slices=False)
    case.segmentation = segmentation_from(run.follow(client, job), images[0])


def _write(run: Session, case: DemoCase, stage: Path, bundle: Any) -> None:
    if case.simulated:
        for item in case.inputs:
            io.save(item.volume, stage / f"{item.volume.sequence}.{FORMAT}")
        for name in case.targets:
            if name in case.truth:
                io.save(case.truth[name], stage / f"truth_{name}.{FORMAT}")
    images = {**case.synthetic, **{f"{k}_uncertainty": v for k, v in case.uncertainty.items()}}
    write_images(TaskResult(list(images.items())), stage, FORMAT)
    save_segmentation(case.segmentation, stage / SEGMENTATION)
    result = TaskResult(list(images.items()), case.synthesis.info)
    record = provenance_record(case.inputs, case.understood, bundle, result, run, seed=0)
    segmented = case.segmentation.provenance
    record["segmentation"] = segmented.to_dict() if segmented else None
    case.provenance = record
    write_json(record, stage / PROVENANCE)


def _write_scene_and_report(run: Session, case: DemoCase, stage: Path, output: Path) -> None:
    from .demo_report import report_of
    from .report import write_report

    figures: tuple = ()
    if scene_available():
        from .demo_pictures import scene_and_figures

        figures = scene_and_figures(case, stage / SCENE, run)
    else:
        run.warn(
            "The scene and the pictures of the report were left out, since slicer-core is not "
            'installed; pip install "mrisynth[scene]" brings it.'
        )
    write_report(stage / REPORT, report_of(case, figures, run))


def _table(case: DemoCase, output: Path) -> Any:
    from rich.table import Table

    table = Table(title=f"The results are in {output.resolve()}", title_justify="left", box=None)
    table.add_column("file", no_wrap=True)
    table.add_column("what it is")
    for name, meaning in case.files.items():
        table.add_row(name, meaning)
    return table
