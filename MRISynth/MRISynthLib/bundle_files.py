"""The files of a bundle: which there are, what their hashes say, and which are never opened."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from .errors import BundleError

TASKS = ("synthesis", "segmentation")
COMMON_FIELDS = (
    "name",
    "version",
    "task",
    "sequences_in",
    "training_data",
    "quality",
    "licence",
    "intended_use",
)
TASK_FIELDS = {"synthesis": ("sequences_out",), "segmentation": ("structures",)}
"""Fields that ``metadata.json`` must have, besides :data:`COMMON_FIELDS`."""

SUMS = "SHA256SUMS"
METADATA = "configs/metadata.json"
INFERENCE = "configs/inference.json"
CARD = "docs/README.md"
SCREEN_WEIGHTS = "models/screen.safetensors"
_LITTER = {".DS_Store", "Thumbs.db", "desktop.ini"}
_PICKLE_SUFFIXES = {".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".bin", ".joblib", ".npy", ".npz"}
_WEIGHTS_NAME = re.compile(r"models/model(-\d{5}-of-\d{5})?\.safetensors")


def bundle_files(folder: Path) -> dict[str, Path]:
    """Relative POSIX path -> path of every file but SHA256SUMS and what desktops leave."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_dir() and not path.is_symlink():
            continue
        relative = path.relative_to(folder).as_posix()
        if path.is_symlink():
            raise BundleError(
                f"The file {relative} of the bundle {folder} is a link; put the file itself there."
            )
        if path.name not in _LITTER and relative != SUMS:
            found[relative] = path
    return found


def refuse_pickle(relative: str, path: Path) -> None:
    """Raise BundleError for a file that could hold a pickle, by name or by its first bytes."""
    try:
        with path.open("rb") as stream:
            start = stream.read(9)
    except OSError as error:
        raise BundleError(f"The bundle file {path} cannot be read: {error.strerror}.") from error
    is_pickle = start[:4] == b"PK\x03\x04" or (start[:1] == b"\x80" and start[1:2] <= b"\x05")
    if relative.endswith(".safetensors"):
        # Eight bytes of header length, then a JSON object.
        header = int.from_bytes(start[:8], "little")
        is_safetensors = start[8:9] == b"{" and header + 8 <= path.stat().st_size
        if is_safetensors:
            return
        what = "a pickle or zip archive" if is_pickle else "not a safetensors file"
        raise BundleError(
            f"The weights {path} are {what} under another name and were not loaded; "
            "use a bundle from its maker, with safetensors weights."
        )
    if is_pickle or path.suffix.lower() in _PICKLE_SUFFIXES:
        raise BundleError(
            f"The bundle holds {path}, a kind of file that can run code when loaded, so nothing "
            "was loaded; use a bundle with safetensors weights only."
        )


def read_sums(folder: Path) -> dict[str, str]:
    """Relative path -> SHA-256 of SHA256SUMS; BundleError if it is missing or damaged."""
    path = folder / SUMS
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BundleError(
            f"The bundle {folder} has no readable {SUMS}, so it cannot be checked; "
            "install it again."
        ) from error
    sums = {}
    for line in lines:
        match = re.fullmatch(r"([0-9a-f]{64}) [ *](.+)", line)
        if not match:
            raise BundleError(f"The line '{line[:80]}' of {path} is not a hash and a file name.")
        sums[match.group(2)] = match.group(1)
    return sums


def hash_of_sums(sums: Mapping[str, str]) -> str:
    """The bundle's own hash."""
    lines = sorted(f"{digest}  {name}" for name, digest in sums.items())
    return hashlib.sha256("".join(f"{line}\n" for line in lines).encode()).hexdigest()


def digest_of(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object; BundleError if the file is anything else."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BundleError(
            f"The bundle file {path} is missing; install the bundle again."
        ) from error
    except ValueError as error:
        raise BundleError(
            f"The bundle file {path} is not JSON; install the bundle again."
        ) from error
    if not isinstance(values, dict):
        raise BundleError(f"The bundle file {path} is not a JSON object; install it again.")
    return values


def check_metadata(metadata: Mapping[str, Any], where: Path) -> None:
    """Raise BundleError naming the first field that is missing or of the wrong kind."""

    def require(fields: Iterable[str]) -> None:
        for name in fields:
            if metadata.get(name) in (None, "", [], {}):
                raise BundleError(
                    f"The field '{name}' is missing in {where}; ask the bundle's maker to add it."
                )

    require(COMMON_FIELDS)
    if metadata["task"] not in TASKS:
        raise BundleError(
            f"The field 'task' in {where} is '{metadata['task']}'; it must be one of "
            f"{', '.join(TASKS)}."
        )
    require(TASK_FIELDS[metadata["task"]])
    for name in ("name", "version"):
        if not isinstance(metadata[name], str):
            raise BundleError(f"The field '{name}' in {where} must be text.")
    for name in ("sequences_in", *TASK_FIELDS[metadata["task"]]):
        values = metadata[name]
        if not isinstance(values, list) or not all(isinstance(v, str) for v in values):
            raise BundleError(f"The field '{name}' in {where} must be a list of names.")
    cuts = metadata.get("thresholds", {"cuts": {}})
    cuts = cuts.get("cuts") if isinstance(cuts, dict) else None
    if not isinstance(cuts, dict) or not all(
        isinstance(cut, float) and 0 < cut < 1 for cut in cuts.values()
    ):
        raise BundleError(
            f"The field 'thresholds' in {where} must give 'cuts' between 0 and 1 by structure."
        )
    carrying = metadata.get("carrying", {"sharpness": 1.0})
    sharpness = carrying.get("sharpness") if isinstance(carrying, dict) else None
    if type(sharpness) not in (float, int) or not sharpness > 0:
        raise BundleError(f"The field 'carrying' in {where} must give a 'sharpness' above 0.")


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files, the screen's last; BundleError if there is none or a part is
    missing."""
    files = [
        path
        for path in sorted((folder / "models").glob("*.safetensors"))
        if _WEIGHTS_NAME.fullmatch(path.relative_to(folder).as_posix())
    ]
    total = {int(path.stem.rpartition("-")[2]) for path in files if "-of-" in path.stem}
    if not files or (total and (len(total) > 1 or len(files) != total.pop())):
        raise BundleError(
            f"The bundle {folder} lacks models/model.safetensors or one of its parts; "
            "install it again."
        )
    screen = folder / SCREEN_WEIGHTS
    return [*files, screen] if screen.is_file() else files
