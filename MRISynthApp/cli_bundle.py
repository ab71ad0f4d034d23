"""``mrisynth bundle``: which models there are, and whether they are sound."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from .options import Json
from .session import session

app = typer.Typer(no_args_is_help=True, help="The models: list them, show one, verify one.")

BundleName = Annotated[
    str, typer.Argument(metavar="NAME_OR_FOLDER", help="A name of 'bundle list', or a folder.")
]


@app.command("list")
def list_bundles(as_json: Json = False) -> None:
    """List the models that are installed."""
    with session("bundle list", as_json) as run:
        from rich.table import Table

        from MRISynthLib.bundles import bundle_folders, read_bundle
        from MRISynthLib.errors import BundleError

        table = Table(box=None)
        for title in ("name", "version", "task", "takes", "makes", "folder"):
            table.add_column(title)
        run.record["bundles"] = []
        for folder in bundle_folders():
            try:
                bundle = read_bundle(folder)
            except BundleError as error:
                run.warn(str(error))
                continue
            run.record["bundles"].append(_record(bundle))
            makes = bundle.sequences_out or (f"{len(bundle.structures)} structures",)
            row = (bundle.name, bundle.version, bundle.task)
            takes = ", ".join(bundle.sequences_in)
            table.add_row(*row, takes, ", ".join(makes), str(bundle.folder))
        if run.record["bundles"]:
            run.show(table)
        else:
            run.say("No model is installed; name a folder with models in MRISYNTH_BUNDLES.")


@app.command("show")
def show_bundle(name: BundleName, as_json: Json = False) -> None:
    """Show what a model is for, what it was trained on and how good it is."""
    with session("bundle show", as_json) as run:
        from rich.markdown import Markdown

        bundle = _verified(name)
        card = bundle.folder / "docs" / "README.md"
        run.record["bundle"] = {**_record(bundle), "metadata": dict(bundle.metadata)}
        run.show(Markdown(card.read_text(encoding="utf-8")))


@app.command("verify")
def verify_bundle(name: BundleName, as_json: Json = False) -> None:
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


def _verified(name: str) -> Any:
    from MRISynthLib.bundles import find_bundle

    return find_bundle(name)


def _record(bundle: Any) -> dict[str, Any]:
    return {
        "name": bundle.name,
        "version": bundle.version,
        "task": bundle.task,
        "sequences_in": list(bundle.sequences_in),
        "sequences_out": list(bundle.sequences_out),
        "structures": list(bundle.structures),
        "folder": str(bundle.folder),
        "hash": bundle.hash,
    }
