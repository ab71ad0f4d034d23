"""``mrisynth demo``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .options import Device, Inputs, Json
from .session import session


def demo(
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Folder for the results.")
    ] = Path("mrisynth-demo"),
    inputs: Inputs = None,
    seed: Annotated[int, typer.Option(help="Which simulated patient.")] = 2026,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """The whole chain on a simulated patient, or on yours with --input.

    T1w and T2w in; CE-T1w and STIR out; tumour and organs delineated; a scene that 3D Slicer
    opens and a report that any browser opens.
    """
    with session("demo", as_json) as run:
        from .demo import run_demo

        run_demo(run, output, inputs or [], seed, device)
