"""What :mod:`MRISynthLib.packages` asks of Slicer, done with Slicer's own tools."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import slicer
from slicer.i18n import tr as _

from MRISynthLib.errors import InputError

REQUESTER = "MRISynth"


class SlicerInstaller:
    """Installs through ``slicer.packaging`` and the extension PyTorch; see ``Installer``."""

    def slicer_version(self) -> tuple[int, int]:
        """(major, minor) of the running Slicer, of the base for custom applications."""
        return int(slicer.app.majorVersion), int(slicer.app.minorVersion)

    def satisfied(self, requirement: str) -> bool:
        """Ask the packages' metadata: importing torch here would load it into the window."""
        import slicer.packaging

        return slicer.packaging.pip_check(requirement)

    def confirm(self, question: str, details: str) -> bool:
        """Show the one question of the installation, the packages under "details"."""
        if slicer.app.testingEnabled():
            return False  # a test never changes the Python environment
        title = _("MRISynth - Install Python Packages")
        return slicer.util.confirmOkCancelDisplay(question, title, detailedText=details)

    def install_torch(self, version: str) -> None:
        """Let the extension PyTorch choose the build for this machine's GPU driver."""
        try:
            import PyTorchUtils
        except ModuleNotFoundError as error:
            raise InputError(
                "The extension PyTorch is missing; install it in the Extensions Manager, restart "
                "Slicer and press Apply again."
            ) from error
        with slicer.util.WaitCursor():
            self._or_advise(
                lambda: PyTorchUtils.PyTorchUtilsLogic().installTorch(
                    askConfirmation=False, torchVersionRequirement=version
                ),
                "PyTorch",
            )

    def install(self, requirements: Sequence[str]) -> None:
        """Install with Slicer's progress dialog; it offers a restart where one is needed."""
        import slicer.packaging

        self._or_advise(
            lambda: slicer.packaging.pip_ensure(
                list(requirements), requester=REQUESTER, prompt_install=False
            ),
            ", ".join(requirements),
        )

    @staticmethod
    def _or_advise(action, what: str) -> None:
        """Run an installation; its failure becomes one sentence, the details go to the log."""
        try:
            action()
        except Exception as error:
            # pip, light-the-torch and a firewall each fail in their own way.
            logging.exception("MRISynth could not install %s", what)
            raise InputError(
                f"{what} could not be installed; check the network connection (details are in "
                "Help > Report a Bug and in the Python console) and press Apply again."
            ) from error
