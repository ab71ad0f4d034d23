"""Model bundles: finding, verifying, loading and writing them.

A bundle is a folder in the layout of a MONAI Bundle::

    configs/metadata.json      what the model takes and makes, what it was trained on
    configs/inference.json     "network_def" and how to run it
    models/model.safetensors   or model-00001-of-00002.safetensors and so on; large tensors may be
                               int8 with scales beside them (see bundle_weights)
    models/screen.safetensors  a synthesis model's screen, which is fitted after the rest
    docs/README.md             the model card
    SHA256SUMS                 one line a file

Nothing in a bundle is ever executed: weights are safetensors, files that can hold a pickle
are refused unopened, and ``network_def`` may only name network classes of this product and
of MONAI.
"""

from __future__ import annotations

import difflib
import errno
import importlib.util
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .bundle_card import model_card
from .bundle_files import (
    CARD,
    INFERENCE,
    METADATA,
    SCREEN_WEIGHTS,
    SUMS,
    bundle_files,
    check_metadata,
    digest_of,
    hash_of_sums,
    read_json,
    read_sums,
    refuse_pickle,
    weight_files,
)
from .bundle_network import build_network
from .bundle_store import imported_root
from .bundle_weights import restored
from .errors import BundleError, OutputError
from .io.output import output_error

if TYPE_CHECKING:
    import torch

TEXT_MODEL = "text_model"
"""Folder of a bundle for a text model of another maker, and the field of the inference
configuration that says that there is one."""

FOLDERS_VARIABLE = "MRISYNTH_BUNDLES"
"""Environment variable with further folders of bundles, before the shipped ones."""

CRITIC = "critic"
"""The part of a network of which bundles have no weights."""

SCREEN = "screen."
"""How the names of a screen's tensors begin; in a file of their own, they come and go without a
change of the network's."""

MAX_PART_BYTES = 15 * 2**20
"""Tensors in one weights file; each shipped file stays under 16 MiB."""


@dataclass(frozen=True)
class Bundle:
    """A bundle on disk. ``hash`` is the SHA-256 over the sorted lines of SHA256SUMS."""

    folder: Path
    name: str
    version: str
    task: str
    metadata: Mapping[str, Any]
    inference: Mapping[str, Any]
    hash: str

    @property
    def sequences_in(self) -> tuple[str, ...]:
        """Sequences that the model can take."""
        return tuple(self.metadata["sequences_in"])

    @property
    def sequences_out(self) -> tuple[str, ...]:
        """Sequences that a synthesis model can make; empty for other tasks."""
        return tuple(self.metadata.get("sequences_out", ()))

    @property
    def structures(self) -> tuple[str, ...]:
        """Structures that a segmentation model can delineate; empty for other tasks."""
        return tuple(self.metadata.get("structures", ()))

    @property
    def weak(self) -> dict[str, float | None]:
        """Structures that a segmentation model finds poorly -> the Dice that was measured, None
        where none was. They are looked for only if asked."""
        return dict(self.metadata.get("weak_structures", {}))

    @property
    def cuts(self) -> dict[str, float]:
        """Structures that a segmentation model draws from another probability than one half ->
        that of its network as it learned. It is folded into the weights: what they give is drawn
        from one half."""
        return dict(self.metadata.get("thresholds", {}).get("cuts", {}))

    def weights(self) -> dict[str, torch.Tensor]:
        """All weights by name; those that are stored in eight bits as float32.

        Raises
        ------
        BundleError
            If a file is damaged or two files hold the same tensor.
        """
        try:
            return restored(self.stored_weights())
        except (KeyError, RuntimeError) as error:
            raise BundleError(
                f"The weights in {self.folder} lack a part; install the model again."
            ) from error

    def stored_weights(self) -> dict[str, torch.Tensor]:
        """All tensors of the safetensors files, by name; BundleError as :meth:`weights`."""
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        tensors: dict[str, torch.Tensor] = {}
        for path in weight_files(self.folder):
            try:
                part = load_file(path)
            except (SafetensorError, OSError) as error:
                raise BundleError(
                    f"The weights {path} cannot be read as safetensors; install the model again."
                ) from error
            if tensors.keys() & part.keys():
                raise BundleError(
                    f"The weights {path} repeat a tensor of another file; install the model again."
                )
            tensors.update(part)
        return tensors

    def network(self) -> torch.nn.Module:
        """The network of ``network_def`` with the bundle's weights, in evaluation mode.

        Raises
        ------
        BundleError
            If the definition names anything but an allowed network class, or the weights
            do not fit it.
        """
        network = build_network(self.inference.get("network_def"), self.folder / INFERENCE)
        if self.inference.get("text_model"):
            self._give_text_model(network)
        if hasattr(network, CRITIC):
            setattr(network, CRITIC, None)  # it only takes part in training
        try:
            network.load_state_dict(self.weights())
        except RuntimeError as error:
            raise BundleError(
                f"The weights in {self.folder} do not fit the network of {INFERENCE}; "
                "install the model again or a version of MRISynth that matches it."
            ) from error
        return network.eval()

    def _give_text_model(self, network: torch.nn.Module) -> None:
        """The text model of another maker that lies in the bundle; it is no part of the weights."""
        from .errors import InputError
        from .synthesis.checkpoint_text import PretrainedTextTower

        if not hasattr(network, "prompt"):
            raise BundleError(
                f"The network of {self.folder / INFERENCE} reads no text, so it cannot have a text "
                "model; install the model again."
            )
        try:
            network.prompt.tower = PretrainedTextTower.load(self.folder / TEXT_MODEL)
        except InputError as error:
            raise BundleError(str(error)) from error


# ---------------------------------------------------------------------------- finding


def bundle_roots() -> list[Path]:
    """Existing folders in which bundles are looked for, the user's own first."""
    own = [Path(p) for p in os.environ.get(FOLDERS_VARIABLE, "").split(os.pathsep) if p]
    return _existing([*own, imported_root(), *shipped_roots()])


def shipped_roots() -> list[Path]:
    """Existing folders of the bundles that come with MRISynth."""
    here = Path(__file__).resolve()
    candidates = [parent / "Resources" / "Bundles" for parent in (here.parents[2], here.parents[1])]
    spec = importlib.util.find_spec("MRISynthResources")
    for location in (spec.submodule_search_locations or ()) if spec else ():
        candidates.append(Path(location) / "Bundles")
    return _existing(candidates)


def _existing(folders: Iterable[Path]) -> list[Path]:
    return list(dict.fromkeys(folder.resolve() for folder in folders if folder.is_dir()))


def bundle_folders() -> list[Path]:
    """Every folder in the roots that looks like a bundle, sound or not."""
    folders = []
    for root in bundle_roots():
        if (root / METADATA).is_file():
            folders.append(root)
        folders += sorted(
            path
            for path in root.iterdir()
            if not path.name.startswith(".") and (path / METADATA).is_file()
        )
    return folders


def find_bundles(task: str | None = None) -> list[Bundle]:
    """Readable bundles in the roots, of one task or of all; hashes are not checked here."""
    bundles = []
    for folder in bundle_folders():
        try:
            bundle = read_bundle(folder)
        except BundleError:
            continue
        if task in (None, bundle.task):
            bundles.append(bundle)
    return bundles


def load_bundle(name_or_folder: str | os.PathLike | None = None, task: str = "synthesis") -> Bundle:
    """A verified bundle: by folder, by name, or the first for the task.

    Raises
    ------
    BundleError
        If there is none, if it is for another task, or if :func:`verify` refuses it.
    """
    if name_or_folder is None:
        candidates = find_bundles(task)
        if not candidates:
            raise BundleError(
                f"No {task} model is installed; put a bundle into a folder and name that folder "
                f"with --model or in {FOLDERS_VARIABLE}."
            )
        return verify(candidates[0].folder)
    bundle = find_bundle(name_or_folder)
    if bundle.task != task:
        raise BundleError(
            f"The model {bundle.name} is for {bundle.task}, not for {task}; choose another one "
            "(mrisynth bundle list shows them)."
        )
    return bundle


def find_bundle(name_or_folder: str | os.PathLike) -> Bundle:
    """A verified bundle of any task, by folder or by name.

    Raises
    ------
    BundleError
        If there is none, or if :func:`verify` refuses it.
    """
    if Path(name_or_folder).is_dir():
        return verify(Path(name_or_folder))
    return verify(folder_of(str(name_or_folder)))


def folder_of(name: str) -> Path:
    """The folder of the bundle of this name; it need not be sound.

    Raises
    ------
    BundleError
        If there is none.
    """
    bundles = find_bundles()
    for bundle in bundles:
        if bundle.name.casefold() == name.casefold():
            return bundle.folder
    # A folder whose metadata cannot be read is still addressed, so that verify can say why.
    for folder in bundle_folders():
        if folder.name.casefold() == name.casefold():
            return folder
    near = difflib.get_close_matches(name, [bundle.name for bundle in bundles], n=3, cutoff=0.4)
    hint = f"did you mean {' or '.join(near)}?" if near else "mrisynth bundle list shows them."
    raise BundleError(f"There is no model and no folder called '{name}'; {hint}")


# -------------------------------------------------------------------------- verifying


def read_bundle(folder: Path) -> Bundle:
    """The bundle's descriptions, without checking hashes or opening weights.

    Raises
    ------
    BundleError
        If a description is missing, is not JSON or lacks a field.
    """
    folder = Path(folder)
    metadata = read_json(folder / METADATA)
    check_metadata(metadata, folder / METADATA)
    sums = read_sums(folder)
    return Bundle(
        folder=folder,
        name=metadata["name"],
        version=metadata["version"],
        task=metadata["task"],
        metadata=metadata,
        inference=read_json(folder / INFERENCE),
        hash=hash_of_sums(sums),
    )


def verify(folder: str | os.PathLike) -> Bundle:
    """Check every file of a bundle against its hashes and return it.

    Raises
    ------
    BundleError
        Names the file that is missing, changed, not listed, or of a form that is never
        loaded (a pickle under whatever name); or the metadata field that is missing.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise BundleError(f"There is no bundle folder {folder}; check the name or the path.")
    present = bundle_files(folder)
    for relative, path in present.items():
        refuse_pickle(relative, path)
    sums = read_sums(folder)
    for relative in sorted(sums.keys() - present.keys()):
        raise BundleError(f"The bundle {folder} lacks the file {relative}; install it again.")
    for relative in sorted(present.keys() - sums.keys()):
        raise BundleError(
            f"The bundle {folder} has the file {relative} that {SUMS} does not list; "
            "remove it or install the bundle again."
        )
    for relative, digest in sums.items():
        if digest_of(present[relative]) != digest:
            raise BundleError(
                f"The file {relative} of the bundle {folder} was changed (its hash is wrong); "
                "install the bundle again."
            )
    bundle = read_bundle(folder)
    if not (folder / CARD).is_file():
        raise BundleError(f"The bundle {folder} lacks its model card {CARD}; install it again.")
    weight_files(folder)
    return bundle


# ---------------------------------------------------------------------------- writing


def write_bundle(
    folder: str | os.PathLike,
    metadata: Mapping[str, Any],
    inference: Mapping[str, Any],
    weights: Mapping[str, torch.Tensor],
    card: str | None = None,
    text_model: Mapping[str, Path] | None = None,
) -> Bundle:
    """Write a bundle beside ``folder``, check it, then put it in place of the one that was there.

    ``card`` is the model card in Markdown; without it one is made from the metadata. Weights
    are split into files of at most 15 MiB. ``text_model`` are files of a text model of another
    maker, by their names, which go into the bundle.

    Raises
    ------
    BundleError
        If the metadata lack a field.
    OutputError
        As :func:`check_place`.
    """
    from safetensors.torch import save_file

    folder = check_place(folder)
    check_metadata(metadata, folder / METADATA)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    except OSError as error:
        raise output_error(folder, error) from error
    try:
        for part in ("configs", "models", "docs"):
            (beside / part).mkdir()
        _write_text(beside / METADATA, json.dumps(metadata, indent=2, ensure_ascii=False) + "\n")
        _write_text(beside / INFERENCE, json.dumps(inference, indent=2) + "\n")
        _write_text(beside / CARD, card or model_card(metadata))
        for name, path in (text_model or {}).items():
            (beside / TEXT_MODEL).mkdir(exist_ok=True)
            shutil.copyfile(path, beside / TEXT_MODEL / name)
        for relative, part in _files(weights):
            save_file(part, beside / relative)
            (beside / relative).chmod(0o644)  # safetensors lets nobody else read it
        sums = {relative: digest_of(path) for relative, path in bundle_files(beside).items()}
        lines = sorted(f"{digest}  {name}\n" for name, digest in sums.items())
        _write_text(beside / SUMS, "".join(lines))
        verify(beside)
        beside.chmod(0o755)
        _put_in_place(beside, folder)
    except OSError as error:
        raise output_error(folder, error) from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return read_bundle(folder)


def check_place(folder: str | os.PathLike) -> Path:
    """``folder``, absolute, if :func:`write_bundle` may write there: it is new, or empty, or has a
    bundle as it was written, and nothing else. To be asked before long work whose result it takes.

    Raises
    ------
    OutputError
        If it holds anything else, or cannot be written.
    """
    folder = Path(folder).resolve()
    try:
        if folder.exists() and not folder.is_dir():
            raise FileExistsError(errno.EEXIST, "", str(folder))
        if folder.is_dir() and any(folder.iterdir()):
            verify(folder)
        above = next(parent for parent in folder.parents if parent.exists())
        os.rmdir(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=above))
    except BundleError as error:
        raise OutputError(
            f"{folder} holds something other than an unchanged bundle, which is not overwritten; "
            "give a new or an empty folder."
        ) from error
    except OSError as error:
        raise output_error(folder, error) from error
    return folder


def _put_in_place(beside: Path, folder: Path) -> None:
    """Rename ``beside`` to ``folder``; the bundle there goes, or stays if that is not possible."""
    old = Path(tempfile.mkdtemp(prefix=f".{folder.name}-old-", dir=folder.parent))
    away = old / "bundle"
    try:
        if folder.exists():
            os.replace(folder, away)
        os.replace(beside, folder)
    except OSError:
        if away.exists():
            os.replace(away, folder)
        old.rmdir()
        raise
    shutil.rmtree(old, ignore_errors=True)


def _write_text(path: Path, text: str) -> None:
    # Same bytes on every system, or the hashes would differ.
    path.write_text(text, encoding="utf-8", newline="\n")


def _files(weights: Mapping[str, torch.Tensor]) -> Iterator[tuple[str, dict[str, torch.Tensor]]]:
    """Relative paths of the weights files, and what goes into each."""
    parts: list[dict[str, torch.Tensor]] = [{}]
    screen: dict[str, torch.Tensor] = {}
    size = 0
    for name in sorted(weights):
        tensor = weights[name].detach().cpu().contiguous()
        if name.startswith(SCREEN):
            screen[name] = tensor
            continue
        if size and size + tensor.nbytes > MAX_PART_BYTES:
            parts.append({})
            size = 0
        parts[-1][name] = tensor
        size += tensor.nbytes
    for number, part in enumerate(parts, start=1):
        count = f"-{number:05d}-of-{len(parts):05d}" if len(parts) > 1 else ""
        yield f"models/model{count}.safetensors", part
    if screen:
        yield SCREEN_WEIGHTS, screen
