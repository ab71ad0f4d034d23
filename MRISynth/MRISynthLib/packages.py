"""The Python packages that the modules need inside Slicer, and how they are asked for.

What Slicer itself ships is never replaced: another SimpleITK or NumPy can break Slicer.
torch comes through the extension PyTorch, which picks the build that fits the GPU driver.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from .errors import Cancelled, InputError

SLICER_MINIMUM = (5, 12)
"""First Slicer with ``slicer.packaging``."""

TORCH = ">=2.4"
"""Version that the extension PyTorch is asked for."""

REQUIREMENTS: tuple[str, ...] = (
    "highdicom>=0.28",
    "monai>=1.4",
    "nibabel>=5.2",
    "psutil>=5.9",
    "pynrrd>=1.0",
    "safetensors>=0.4.3",
    "scikit-image>=0.22",
)
"""Installed by pip on the first Apply, torch apart."""

SHIPPED_WITH_SLICER: tuple[str, ...] = ("numpy", "pydicom", "scipy", "SimpleITK")
"""Dependencies of pyproject.toml that Slicer brings along."""

NOT_USED_IN_SLICER: tuple[str, ...] = ("einops", "rich", "slicerio", "torchmetrics", "typer")
"""Dependencies of pyproject.toml for the command line, for evaluation and for one of the networks
that the product's own is compared with."""


class Installer(Protocol):
    """What can be asked of Slicer; ``MRISynthWidgets.installer`` does it."""

    def slicer_version(self) -> tuple[int, int]:
        """(major, minor) of the running Slicer."""

    def satisfied(self, requirement: str) -> bool:
        """Whether an installed package fulfils a requirement; nothing is imported."""

    def confirm(self, question: str, details: str) -> bool:
        """Ask the user yes or no."""

    def install_torch(self, version: str) -> None:
        """Install torch through the extension PyTorch, without asking again."""

    def install(self, requirements: Sequence[str]) -> None:
        """Install by pip with progress shown, without asking again."""


def version_problem(version: tuple[int, int]) -> str:
    """One sentence if this Slicer is too old; empty if it is not."""
    if tuple(version[:2]) >= SLICER_MINIMUM:
        return ""
    needed = ".".join(map(str, SLICER_MINIMUM))
    found = ".".join(map(str, version[:2]))
    return f"MRISynth needs 3D Slicer {needed} or later and this is {found}; update Slicer."


def missing(installer: Installer) -> tuple[str, ...]:
    """The requirements that are not fulfilled, torch first."""
    wanted = (f"torch{TORCH}", *REQUIREMENTS)
    return tuple(requirement for requirement in wanted if not installer.satisfied(requirement))


def ensure(installer: Installer) -> None:
    """Have everything installed, with one question to the user at most.

    Raises
    ------
    InputError
        If Slicer is too old, the extension PyTorch is not there, or pip failed.
    Cancelled
        If the user says no.
    """
    problem = version_problem(installer.slicer_version())
    if problem:
        raise InputError(problem)
    wanted = missing(installer)
    if not wanted:
        return
    question = (
        f"MRISynth needs {len(wanted)} Python package{'s' if len(wanted) > 1 else ''} that "
        "this Slicer does not have yet. Install now? This happens once, needs a network "
        "connection and can take some minutes."
    )
    if not installer.confirm(question, "\n".join(wanted)):
        raise Cancelled("The Python packages were not installed, so nothing was computed.")
    torch = [requirement for requirement in wanted if requirement.startswith("torch")]
    others = [requirement for requirement in wanted if requirement not in torch]
    if torch:
        installer.install_torch(TORCH)
    if others:
        installer.install(others)
    still = missing(installer)
    if still:
        raise InputError(
            f"The packages {', '.join(still)} could not be installed; restart Slicer and press "
            "Apply again, or see the details in the Python console."
        )
