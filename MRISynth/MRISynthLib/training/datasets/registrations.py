"""Registrations of cases, kept in a folder for other processes and for runs that go on."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from .cases import DatasetCase
from .ready import Moves


def kept_moves(case: DatasetCase, folder: Path | None) -> Moves | None:
    """What :func:`keep_moves` wrote for these very files; None if there is nothing."""
    if folder is None:
        return None
    try:
        found = json.loads(_place(case, folder).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return {name: None if rows is None else np.array(rows) for name, rows in found.items()}


def keep_moves(case: DatasetCase, moves: Moves, folder: Path | None) -> None:
    """Write how a case's images lie to each other, whole or not at all; without a folder nothing.

    Other processes may be writing the same.
    """
    if folder is None:
        return
    content = {name: None if m is None else m.tolist() for name, m in moves.items()}
    path = _place(case, folder)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".{os.getpid()}.partial")
    partial.write_text(json.dumps(content), encoding="utf-8")
    os.replace(partial, path)


def _place(case: DatasetCase, folder: Path) -> Path:
    return folder / f"{fingerprint([case])[:24]}.json"


def fingerprint(cases: Iterable[DatasetCase]) -> str:
    """Another text whenever an image or a label is another file, or was written anew."""
    digest = hashlib.sha256()
    for case in cases:
        labels = [path for files in case.labels.values() for file in files for path in file.paths]
        for path in [*case.images.values(), *labels, *([case.tissue] if case.tissue else [])]:
            for file in sorted(path.iterdir()) if path.is_dir() else [path]:
                state = file.stat()
                digest.update(f"{file.resolve()} {state.st_size} {state.st_mtime_ns}\n".encode())
    return digest.hexdigest()
