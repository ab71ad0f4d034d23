"""``mrisynth evaluate merge``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .options import Json
from .session import session


def merge(
    parts: Annotated[
        list[Path],
        typer.Argument(
            metavar="PARTS",
            help="Folders that 'evaluate synthesis' or 'evaluate segmentation' wrote, or the JSON "
            "files in them.",
        ),
    ],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="DIR", help="Folder for the figures of the whole."),
    ],
    as_json: Json = False,
) -> None:
    """Make one evaluation of parts that were measured apart, with tests over all patients.

    Example: mrisynth evaluate merge figures/set-1 figures/set-2 --output figures/all
    """
    with session("evaluate merge", as_json) as run:
        from MRISynthLib.errors import InputError
        from MRISynthLib.evaluation.parts import read_parts

        found = [path.expanduser() for path in parts]
        for path in found:
            folder = path if path.is_dir() else path.parent
            if output.exists() and folder.exists() and output.samefile(folder):
                raise InputError(
                    f"--output would overwrite the part {path}; choose another folder."
                )
        read = read_parts(found)
        run.record["inputs"] = [{"path": part.name, "name": part.kind} for part in read]
        if read[0].kind == "segmentation":
            from MRISynthSegmentLib.evaluation.merging import merged

            from .cli_evaluate_segmentation import show, write

            whole = merged(read)
            write(run, whole, output)
            show(run, whole)
            return
        from MRISynthLib.evaluation.merging import merged as merged_synthesis

        from .cli_evaluate import show_evaluation, write_evaluation

        whole = merged_synthesis(read)
        write_evaluation(run, whole, output)
        show_evaluation(run, whole)
