"""The command line: its commands, and what happens to a request that is not one.

Everything heavy is imported inside the commands, so that ``--help`` is quick.
"""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from MRISynthLib import __version__

from . import (
    cli_bundle,
    cli_compare,
    cli_correct,
    cli_demo,
    cli_evaluate,
    cli_export,
    cli_segment,
    cli_simulate,
    cli_synthesize,
    cli_train,
    cli_view,
)

app = typer.Typer(
    name="mrisynth",
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("synthesize")(cli_synthesize.synthesize)
app.command("segment")(cli_segment.segment)
app.command("correct")(cli_correct.correct)
app.command("export")(cli_export.export)
app.command("compare")(cli_compare.compare)
app.command("demo")(cli_demo.demo)
app.command("view")(cli_view.view)
app.add_typer(cli_bundle.app, name="bundle")
app.add_typer(cli_train.app, name="train")
app.add_typer(cli_evaluate.app, name="evaluate")
app.command("simulate")(cli_simulate.simulate)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"mrisynth {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def mrisynth(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Makes the MR sequences that a patient with nasopharyngeal carcinoma is missing, and
    delineates tumour and organs at risk on real and synthetic images.

    For research and demonstration, not for clinical decisions: the models were trained on
    simulated patients.

    Try it: `mrisynth demo`
    """
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def run(arguments: list[str]) -> int:
    """Run one command and return its exit code; a request that makes no sense gives 2."""
    try:
        code = app(arguments, prog_name="mrisynth", standalone_mode=False)
    except Exception as error:
        # Usage errors come from click or from the copy of it inside typer, by version.
        if type(error).__name__ == "Abort":
            raise KeyboardInterrupt from None
        if not hasattr(error, "format_message"):
            raise
        return _refuse(error, as_json="--json" in arguments)
    return code if isinstance(code, int) else 0


def _refuse(error: Exception, as_json: bool) -> int:
    message = " ".join(str(error.format_message()).split())
    if not message:  # A group without a command has shown its help.
        return 2
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "mrisynth"
    if message and message[-1] not in ".!?":
        message += "."
    message += f" '{command} --help' shows what can be asked for."
    if as_json:
        typer.echo(json.dumps({"error": message, "exit_code": 2}))
    Console(stderr=True).print(f"[red]{escape(message)}[/red]", soft_wrap=True)
    return 2
