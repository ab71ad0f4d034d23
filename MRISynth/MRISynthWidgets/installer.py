"""What :mod:`MRISynthLib.packages` asks of Slicer, done with Slicer's own tools."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import qt
import slicer
from slicer.i18n import tr as _

from MRISynthLib.packages import InstallationFailed

REQUESTER = "MRISynth"
WHEELS_SETTING = "MRISynth/WheelsFolder"


class SlicerInstaller:
    """Installs through ``slicer.packaging`` and the extension PyTorch; see ``Installer``."""

    def slicer_version(self) -> tuple[int, int]:
        """(major, minor) of the running Slicer, of the base for custom applications."""
        return int(slicer.app.majorVersion), int(slicer.app.minorVersion)

    def satisfied(self, requirement: str) -> bool:
        """Ask the packages' metadata: importing torch here would load it into the window."""
        import slicer.packaging

        return slicer.packaging.pip_check(requirement)

    def installed_version(self, name: str) -> str:
        """Ask the package's metadata."""
        from importlib import metadata

        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            return ""

    def confirm(self, question: str, details: str) -> bool:
        """Show the one question of the installation, the packages under "details"."""
        if slicer.app.testingEnabled():
            return False  # a test never changes the Python environment
        title = _("MRISynth - Install Python Packages")
        return slicer.util.confirmOkCancelDisplay(question, title, detailedText=details)

    def wheels_folder(self) -> str:
        """The folder in this machine's settings, if it is still there."""
        folder = slicer.app.userSettings().value(WHEELS_SETTING) or ""
        return folder if os.path.isdir(folder) else ""

    def choose_wheels_folder(self, problem: str, details: str) -> str:
        """Say what went wrong, how such a folder is filled, and let the user choose one."""
        if slicer.app.testingEnabled():
            return ""
        question = _(
            "{problem} Without a network, the packages can come from a folder of wheel files "
            "(.whl) that were downloaded on another machine with the same operating system; the "
            "command for it is under the details. Choose such a folder now?"
        ).format(problem=problem)
        title = _("MRISynth - Install Python Packages")
        if not slicer.util.confirmYesNoDisplay(question, title, detailedText=details):
            return ""
        folder = qt.QFileDialog.getExistingDirectory(
            slicer.util.mainWindow(), _("Folder of wheels"), self.wheels_folder()
        )
        if folder:
            self.remember_wheels_folder(folder)
        return folder

    def remember_wheels_folder(self, folder: str) -> None:
        """Use this folder from now on; without one (or if it is not there) the network."""
        known = folder if os.path.isdir(folder) else ""
        slicer.app.userSettings().setValue(WHEELS_SETTING, known)

    def install_torch(self, version: str, pins: Sequence[str]) -> None:
        """Let the extension PyTorch choose the build for this machine's GPU driver."""
        try:
            import PyTorchUtils
        except ModuleNotFoundError as error:
            raise InstallationFailed(
                "The extension PyTorch is missing; install it in the Extensions Manager, restart "
                "Slicer and press Apply again."
            ) from error
        # The extension shows no progress window; what it prints is its progress.
        window = slicer.util.mainWindow() is not None
        with (
            _constraints_file(pins) as path,
            _environment(PIP_CONSTRAINT=Path(path).as_uri()),
            slicer.util.displayPythonShell(window),
            slicer.util.WaitCursor(),
        ):
            self._or_advise(
                lambda: PyTorchUtils.PyTorchUtilsLogic().installTorch(
                    askConfirmation=False, torchVersionRequirement=version
                ),
                "PyTorch",
            )

    def install(self, requirements: Sequence[str], pins: Sequence[str], wheels: str) -> None:
        """Install with Slicer's progress dialog; it offers a restart where one is needed."""
        import slicer.packaging

        source = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": Path(wheels).as_uri()} if wheels else {}
        with _constraints_file(pins) as path, _environment(**source):
            self._or_advise(
                lambda: slicer.packaging.pip_ensure(
                    list(requirements), constraints=path, requester=REQUESTER, prompt_install=False
                ),
                ", ".join(requirements),
                wheels,
            )

    @staticmethod
    def _or_advise(action, what: str, wheels: str = "") -> None:
        """Run an installation; its failure becomes one sentence, the details go to the log."""
        try:
            action()
        except Exception as error:
            # pip, light-the-torch and a firewall each fail in their own way.
            logging.exception("MRISynth could not install %s", what)
            advice = (
                f"see whether {wheels} has all that they need, for this system and Python"
                if wheels
                else "check the network connection"
            )
            raise InstallationFailed(
                f"{what} could not be installed; {advice} (details are in Help > Report a Bug and "
                "in the Python console)."
            ) from error


@contextmanager
def _constraints_file(pins: Sequence[str]) -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="mrisynth-") as folder:
        path = Path(folder) / "constraints.txt"
        path.write_text("".join(f"{pin}\n" for pin in pins), encoding="utf-8")
        yield str(path)


@contextmanager
def _environment(**variables: str) -> Iterator[None]:
    """Variables for the processes that are started inside.

    pip splits the values of its own at spaces, so that files and folders are given as addresses.
    """
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
