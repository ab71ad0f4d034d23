"""``mrisynth bundle``: which models there are and whether they are sound; importing, removing."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from .options import Json
from .session import session

app = typer.Typer(
    no_args_is_help=True, help="The models: list them, show or verify one, import, remove."
)

Name = Annotated[
    str, typer.Argument(metavar="NAME_OR_FOLDER", help="A name of 'bundle list', or a folder.")
]


@app.command("list")
def list_models(as_json: Json = False) -> None:
    """List the models that are installed, where they come from and how large they are."""
    with session("bundle list", as_json) as run:
        from rich.table import Table

        from MRISynthLib.bundles import bundle_folders, read_bundle
        from MRISynthLib.errors import BundleError

        table = Table(box=None)
        for title in ("name", "version", "task", "makes", "from", "size"):
            table.add_column(title, no_wrap=True, justify="right" if title == "size" else "left")
        run.record["bundles"] = []
        for folder in bundle_folders():
            try:
                bundle = read_bundle(folder)
            except BundleError as error:
                run.warn(str(error))
                continue
            record = _record(bundle)
            run.record["bundles"].append(record)
            count, kind = len(bundle.sequences_out), "sequences"
            if not count:
                count, kind = len(bundle.structures), "structures"
            size = f"{record['bytes'] / 1e6:.1f} MB"
            about = (bundle.name, bundle.version, bundle.task)
            table.add_row(*about, f"{count} {kind}", record["source"], size)
        if run.record["bundles"]:
            run.show(table)
        else:
            run.say("No model is installed; import one with mrisynth bundle import FOLDER.")


@app.command("show")
def show_model(name: Name, as_json: Json = False) -> None:
    """Show what a model takes and makes, what it was trained on and how good it is."""
    with session("bundle show", as_json) as run:
        from rich.markdown import Markdown

        bundle = _verified(name)
        card = bundle.folder / "docs" / "README.md"
        run.record["bundle"] = {**_record(bundle), "metadata": dict(bundle.metadata)}
        run.show(Markdown(card.read_text(encoding="utf-8")))


@app.command("verify")
def verify_model(name: Name, as_json: Json = False) -> None:
    """Check every file of a model against its hash, and that none of them can run code."""
    with session("bundle verify", as_json) as run:
        bundle = _verified(name)
        network = bundle.network()
        parameters = sum(tensor.numel() for tensor in network.parameters())
        run.record["bundle"] = {**_record(bundle), "parameters": parameters}
        run.show(
            f"{bundle.name} {bundle.version} is as its maker signed it off "
            f"({parameters / 1e6:.2f} M parameters, hash {bundle.hash[:12]})."
        )


@app.command("import")
def import_model(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="The model's own folder.")],
    as_json: Json = False,
) -> None:
    """Check a model and copy it to where the modules, the browser and the commands find it."""
    with session("bundle import", as_json) as run:
        from MRISynthLib.bundle_store import import_bundle

        bundle = import_bundle(folder)
        run.record["bundle"] = _record(bundle)
        run.show(f"{bundle.name} {bundle.version} ({bundle.task}) is imported.")


@app.command("remove")
def remove_model(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A name of 'bundle list'.")],
    as_json: Json = False,
) -> None:
    """Delete an imported model; those that are shipped stay."""
    with session("bundle remove", as_json) as run:
        from MRISynthLib.bundle_store import remove_named

        run.record["removed"] = remove_named(name)
        run.show(f"{run.record['removed']} is deleted.")


def _verified(name: str) -> Any:
    from MRISynthLib.bundles import find_bundle

    return find_bundle(name)


def _record(bundle: Any) -> dict[str, Any]:
    from MRISynthLib.bundle_store import source_of

    return {
        "name": bundle.name,
        "version": bundle.version,
        "task": bundle.task,
        "sequences_in": list(bundle.sequences_in),
        "sequences_out": list(bundle.sequences_out),
        "structures": list(bundle.structures),
        "source": source_of(bundle.folder),
        "bytes": sum(each.stat().st_size for each in bundle.folder.rglob("*") if each.is_file()),
        "folder": str(bundle.folder),
        "hash": bundle.hash,
    }
