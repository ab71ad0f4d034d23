"""``mrisynth compare``."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .options import Json
from .session import Session, session

if TYPE_CHECKING:
    from MRISynthSegmentLib.comparison import Comparison
    from MRISynthSegmentLib.segmentation import Segmentation

NAME = "comparison"
"""Name of the tables without suffix."""

SUFFIXES = ("csv", "json", "md")

NO_PICTURES = (
    "The pictures are left out: they need Pillow and Jinja2 (pip install pillow jinja2); the "
    "tables have all figures."
)

Contours = "A .seg.nrrd file, a NIfTI label map, an RTSTRUCT or a DICOM SEG"


def compare(
    first: Annotated[Path, typer.Argument(metavar="FIRST", help=f"{Contours}: the yardstick.")],
    second: Annotated[Path, typer.Argument(metavar="SECOND", help="Another, of the same patient.")],
    reference: Annotated[
        Path,
        typer.Option(
            metavar="IMAGE",
            help="The image on whose grid they are compared and over which they are drawn: the one "
            "on which the first was contoured.",
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="DIR",
            help="Folder for tables and pictures; without it, the table is only shown.",
            show_default=False,
        ),
    ] = None,
    structures: Annotated[
        str,
        typer.Option(
            metavar="NAMES",
            help="Names with commas between them (GTVp,Brainstem); without it, all that both have.",
            show_default=False,
        ),
    ] = "",
    as_json: Json = False,
) -> None:
    """Compare contours: made on a synthetic image and on the real one, or by two people.

    For each structure Dice, HD95, surface Dice at 1 and 2 mm, volumes, and how far and where the
    centre moved. With --output writes comparison.csv, .json and .md, and outlines.png with both
    outlines over the image.

    Example: mrisynth compare real.seg.nrrd synthetic.seg.nrrd --reference t1.nii.gz -o results
    """
    with session("compare", as_json) as run:
        from MRISynthLib import io
        from MRISynthLib.io.output import staged_folder
        from MRISynthSegmentLib.comparison import compare as compared
        from MRISynthSegmentLib.loading import load_any

        from .dicom_outputs import image_behind
        from .inputs import refuse_other_patients

        first, second, reference = (path.expanduser() for path in (first, second, reference))
        _check_paths(first, second, reference, output)
        with run.timed("load"):
            images = io.load_series(reference)
            refuse_other_patients([first, second, reference])
            pair = tuple(load_any(path, images[0]) for path in (first, second))
            record = pair[0].provenance or pair[1].provenance
            image = image_behind(run, reference, images, record)
            pair = tuple(replace(each, reference=image) for each in pair)
        wanted = [name.strip() for name in structures.split(",") if name.strip()]
        found = compared(*pair, wanted, names=_names(first, second))
        run.warn(*found.warnings)
        run.record["inputs"] = [
            {"path": str(path), "name": name}
            for path, name in ((first, "first"), (second, "second"), (reference, "reference"))
        ]
        run.record["comparison"] = found.to_dict()
        if output is not None:
            with staged_folder(output) as stage, run.timed("write"):
                outputs = _write(run, found, pair, stage)
                run.check()
            run.record["outputs"] = {key: str(output / name) for key, name in outputs.items()}
            _warn_of_older(run, output, set(outputs.values()))
        run.show(_table(found))
        for where, names in (("first", found.only_in_first), ("second", found.only_in_second)):
            if names:
                run.say(f"Only in the {where}, not compared: {', '.join(names)}")
        if output is not None:
            run.say(f"Written to {output}")


def _check_paths(first: Path, second: Path, reference: Path, output: Path | None) -> None:
    """Refuse one file given twice, and tables in the place of a label map's names."""
    from MRISynthLib.errors import InputError

    from .cli_synthesize import refuse_overwriting

    if first.exists() and second.exists() and first.samefile(second):
        raise InputError(f"{first} is given twice; give the two that are to be compared.")
    if output is not None:
        given = (first, second, reference)
        named = [path.with_name(f"{path.name.split('.nii')[0]}.json") for path in given]
        refuse_overwriting(output, [f"{NAME}.{end}" for end in SUFFIXES], [*given, *named])


def _names(first: Path, second: Path) -> tuple[str, str]:
    """What tables call the two: their file names, with as many folders as tell them apart."""
    parts = [path.resolve().parts for path in (first, second)]
    count = 1
    while parts[0][-count:] == parts[1][-count:]:
        count += 1
    return "/".join(parts[0][-count:]), "/".join(parts[1][-count:])


def _write(
    run: Session, found: Comparison, pair: tuple[Segmentation, Segmentation], folder: Path
) -> dict[str, str]:
    """Tables and pictures in a folder; what they are -> file name."""
    texts = (
        found.csv(),
        json.dumps(found.to_dict(), indent=2, ensure_ascii=False) + "\n",
        found.markdown(),
    )
    outputs = {suffix: f"{NAME}.{suffix}" for suffix in SUFFIXES}
    for name, text in zip(outputs.values(), texts, strict=True):
        (folder / name).write_text(text, encoding="utf-8")
    try:
        from .comparison_picture import draw_outlines
    except ImportError:
        run.warn(NO_PICTURES)
        return outputs
    pictures = draw_outlines(found, *pair, folder)
    return outputs | {path.stem: path.name for path in pictures}


def _warn_of_older(run: Session, output: Path, written: set[str]) -> None:
    """Pictures of another comparison must not be taken for those of this one."""
    older = sorted({path.name for path in output.glob("outlines*.png")} - written)
    if older:
        run.warn(f"{', '.join(older)} in {output} are of an earlier comparison.")


def _table(found: Comparison) -> Any:
    """The figures that fit on a terminal."""
    from rich.table import Table
    from rich.text import Text

    from MRISynthSegmentLib.comparison import number

    table = Table(box=None, pad_edge=False)
    table.add_column("structure", no_wrap=True)
    for title in ("Dice", "HD95\n(mm)", "surface Dice\n1 / 2 mm", "volumes\n(ml)", "shift\n(mm)"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("")
    for row in found.rows:
        values = row.agreement
        table.add_row(
            Text(row.structure),
            number(values.dice, 2),
            number(values.hd95_mm, 1),
            f"{number(values.surface_dice_1mm, 2)} / {number(values.surface_dice_2mm, 2)}",
            f"{values.volume_first_ml:.1f} / {values.volume_second_ml:.1f}",
            number(values.centre_shift_mm, 1),
            values.reason,
        )
    return table
