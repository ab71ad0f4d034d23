"""What ``mrisynth evaluate segmentation`` writes and shows."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .session import Session

if TYPE_CHECKING:
    from MRISynthLib.bundles import Bundle
    from MRISynthLib.evaluation.folders import FolderPatients
    from MRISynthLib.evaluation.patients import Patients
    from MRISynthLib.evaluation.tables import Table
    from MRISynthSegmentLib.evaluation.results import Evaluation
    from MRISynthSegmentLib.evaluation.segmentation import Options

NO_PICTURES = (
    "The pictures are left out: they need Pillow and Jinja2 (pip install pillow jinja2); the "
    "tables have all figures."
)


def measure(
    run: Session,
    bundle: Bundle,
    synthesis: Bundle | None,
    patients: Patients | FolderPatients,
    options: Options,
    device: str,
    output: Path | None,
) -> None:
    """Measure, write what ``output`` gets, and show the tables.

    Pictures are drawn patient by patient, since the outlines of many would fill the memory; they
    wait in a folder of their own until the figures are there.
    """
    from MRISynthSegmentLib.evaluation import evaluate_segmentation

    with tempfile.TemporaryDirectory() as waiting:
        drawn = Path(waiting)
        if options.pictures:
            options = replace(options, draw=_drawer(run, drawn))
        found = evaluate_segmentation(bundle, patients, options, device, synthesis, report=run.say)
        run.warn(*(f"Left out: {what}." for what in found.about.get("left out", ())))
        if output is not None:
            write(run, found, output, drawn)
    show(run, found)


def _drawer(run: Session, folder: Path) -> Any:
    """What draws a picture into a folder; None where it cannot be done."""
    try:
        from .segmentation_pictures import draw_picture
    except ImportError:
        run.warn(NO_PICTURES)
        return None
    return lambda picture: draw_picture(picture, folder)


def write(run: Session, found: Evaluation, output: Path, drawn: Path | None = None) -> None:
    """Figures, tables, plots and pictures: the whole folder or nothing."""
    from MRISynthLib.io.output import staged_folder
    from MRISynthSegmentLib.evaluation import write_results

    from .segmentation_plots import draw_plots

    with staged_folder(output) as stage:
        write_results(found, stage)
        if drawn is not None and any(drawn.iterdir()):
            shutil.copytree(drawn, stage / "pictures")
        missing = draw_plots(found, stage)
        if missing:
            run.warn(missing)
    run.record["outputs"]["folder"] = str(output)


def show(run: Session, found: Evaluation) -> None:
    """The main tables; everything with ``--json``."""
    record = found.record()
    run.record |= {"patients": found.about, "figures": record["figures"]}
    run.record["details"] = record["details"]
    for each in _tables(found, record["details"]):
        run.show_table(each)


def _tables(found: Evaluation, details: dict[str, Any]) -> Iterator[Table]:
    """Those that fit on a terminal."""
    from MRISynthSegmentLib.evaluation import tables

    yield tables.dice_table(found, details["structures"])
    if "clicks" in details:
        yield tables.clicks_table(details["clicks"])
    if details["contrast"]:
        yield from tables.contrast_tables(details["contrast"])
    yield tables.summary_table(found)
