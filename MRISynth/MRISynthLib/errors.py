"""Errors whose text is meant for the person at the screen.

Every face (Slicer panel, command line, browser) shows ``str(error)`` as it is: one
sentence on what is wrong, with which file or field, and what to do about it.
"""

from __future__ import annotations


class MRISynthError(Exception):
    """Base of all errors that a user may read."""


class InputError(MRISynthError):
    """The request or the input is wrong; nothing was written (exit code 2)."""


class OutputError(InputError):
    """The output cannot be written where it was asked for; nothing was left behind."""


class BundleError(InputError):
    """A model bundle is missing, changed, or of a form that is never loaded."""


class WorkerError(MRISynthError):
    """The inference process failed or died (exit code 1)."""


class Cancelled(MRISynthError):
    """The user stopped the work; nothing was written."""

    def __init__(self, message: str = "Cancelled; nothing was written.") -> None:
        super().__init__(message)
