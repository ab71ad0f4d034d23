"""The Python packages that the modules need inside Slicer, and how they are asked for.

What Slicer itself ships is never replaced: another SimpleITK or NumPy can break Slicer.
torch comes through the extension PyTorch, which picks the build that fits the GPU driver. Behind a
firewall everything comes from a folder of wheels instead.
"""

from __future__ import annotations

import os
import re
import sys
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


class InstallationFailed(InputError):
    """pip or the network refused; the sentence says what to do."""


class Installer(Protocol):
    """What can be asked of Slicer; ``MRISynthWidgets.installer`` does it."""

    def slicer_version(self) -> tuple[int, int]:
        """(major, minor) of the running Slicer."""

    def satisfied(self, requirement: str) -> bool:
        """Whether an installed package fulfils a requirement; nothing is imported."""

    def installed_version(self, name: str) -> str:
        """Version of an installed package, empty if there is none; nothing is imported."""

    def confirm(self, question: str, details: str) -> bool:
        """Ask the user yes or no."""

    def wheels_folder(self) -> str:
        """The folder of wheels that the user chose on this machine, empty if there is none."""

    def choose_wheels_folder(self, problem: str, details: str) -> str:
        """Offer to choose such a folder, and remember it; empty if the user would rather not."""

    def install_torch(self, version: str, pins: Sequence[str]) -> None:
        """Install torch through the extension PyTorch, without asking again.

        Raises :class:`InstallationFailed`.
        """

    def install(self, requirements: Sequence[str], pins: Sequence[str], wheels: str) -> None:
        """Install by pip with progress shown, without asking again.

        ``wheels`` names the folder to take everything from, without a network; empty means the
        package index. Raises :class:`InstallationFailed`.
        """


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


def pins(installer: Installer) -> tuple[str, ...]:
    """What pip must leave as it is: Slicer's own packages, and torch once it is there."""
    names = [*SHIPPED_WITH_SLICER]
    if installer.satisfied(f"torch{TORCH}"):
        names.append("torch")
    installed = ((name, installer.installed_version(name)) for name in names)
    return tuple(f"{name}=={version}" for name, version in installed if version)


def download_command(folder: str = "wheels") -> str:
    """What fills a folder with wheels on another machine of the same kind that has a network."""
    wanted = " ".join(f'"{requirement}"' for requirement in (f"torch{TORCH}", *REQUIREMENTS))
    python = ".".join(map(str, sys.version_info[:2]))
    return f"python{python} -m pip download --only-binary=:all: --dest {folder} {wanted}"


def wheels_problem(folder: str, requirements: Sequence[str]) -> str:
    """One sentence if a folder cannot have what is required; empty if it looks complete.

    Only the required packages are looked for; pip says what else they need.
    """
    if not os.path.isdir(folder):
        return f"The folder of wheels {folder} is not there; choose another."
    there = {_plain(entry.split("-")[0]) for entry in os.listdir(folder) if entry.endswith(".whl")}
    names = [re.split(r"[<>=!~ \[;]", requirement)[0] for requirement in requirements]
    lacking = [name for name in names if _plain(name) not in there]
    if not lacking:
        return ""
    return f"The folder {folder} has no wheel of {', '.join(lacking)}; add them or choose another."


def source_in_words(installer: Installer, folder: str) -> str:
    """Where the packages come from when ``folder`` is chosen, or what is wrong with it."""
    wanted = missing(installer)
    if not wanted:
        return "Not needed: all Python packages are installed."
    if not folder:
        return f"{_counted(wanted)} will come from the network, at the first Apply."
    problem = wheels_problem(folder, wanted)
    if problem:
        return f"{problem} Fill it on a computer with a network: {download_command()}"
    return f"{_counted(wanted)} will come from this folder, at the first Apply."


def _counted(requirements: Sequence[str]) -> str:
    return f"{len(requirements)} Python package{'s' if len(requirements) > 1 else ''}"


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def ensure(installer: Installer) -> None:
    """Have everything installed, with one question to the user at most.

    If that fails, a folder of wheels is asked for, which works without a network; it is remembered
    and used from then on.

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
    if _one_at_a_time.busy:
        raise InputError("The Python packages are being installed; wait until that is done.")
    wheels = installer.wheels_folder()
    source = f"from the folder {wheels}" if wheels else "from the network"
    question = (
        f"MRISynth needs {_counted(wanted)} that this Slicer does not have yet. Install now, "
        f"{source}? This happens once and can take some minutes; PyTorch alone can be a download "
        "of 3 GB."
    )
    if not wheels:
        question += " Without a network, press Cancel and choose a folder of wheels in Options."
    if not installer.confirm(question, "\n".join(wanted)):
        raise Cancelled("The Python packages were not installed, so nothing was computed.")
    with _one_at_a_time:
        try:
            _install(installer, wheels)
        except InstallationFailed as error:
            wheels = installer.choose_wheels_folder(str(error), download_command())
            if not wheels:
                raise
            _install(installer, wheels)


class _OneAtATime:
    """Slicer's window answers while pip works, so that Apply can be pressed again."""

    busy = False

    def __enter__(self) -> None:
        self.busy = True

    def __exit__(self, *_) -> None:
        self.busy = False


_one_at_a_time = _OneAtATime()


def _install(installer: Installer, wheels: str) -> None:
    wanted = missing(installer)
    if wheels:
        problem = wheels_problem(wheels, wanted)
        if problem:
            raise InstallationFailed(problem)
        installer.install(wanted, pins(installer), wheels)
    else:
        torch = [requirement for requirement in wanted if requirement.startswith("torch")]
        others = [requirement for requirement in wanted if requirement not in torch]
        if torch:
            installer.install_torch(TORCH, pins(installer))
        if others:
            installer.install(others, pins(installer), "")
    still = missing(installer)
    if still:
        raise InstallationFailed(
            f"The packages {', '.join(still)} could not be installed; restart Slicer and press "
            "Apply again, or see the details in the Python console."
        )
