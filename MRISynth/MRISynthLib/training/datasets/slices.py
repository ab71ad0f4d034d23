"""Training batches from the cases of datasets, of the same shape as simulated ones."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from ...errors import InputError
from ...simulation.anatomy import LABELLED_STRUCTURES, bit
from ...simulation.protocols import Mention
from ...synthesis.base import NEIGHBOUR_MM
from ...synthesis.conditioning import describe_input
from ...volume import Volume
from ..batches import SliceBatch
from .cases import DatasetCase
from .ready import UNKNOWN, Moves, ReadyCase, prepare_case
from .registrations import keep_moves, kept_moves

_TUMOUR = ("GTVp", "GTVn")
_REGION = ("Nasopharynx",)

LEAST_COVER = 0.9
"""An image takes part in a slice if it shows this share of the body there."""


def mention_of(volume: Volume, rng: np.random.Generator, plain: float = 0.4) -> Mention:
    """What a prompt would say of a real image: what its header says, some of it left out.

    With probability ``plain``, and where the header says nothing, it is the sequence's name
    alone. The words are those of ``simulation.protocols.mention``.
    """
    known = describe_input(volume)
    sequence, agent = known.sequence, known.contrast_agent
    suppressed = sequence.endswith("-FS") or sequence == "STIR"
    words, said = [sequence], {}
    if sequence == "CT" and volume.acquisition.get("ContrastBolusAgent"):
        agent = True
        words.append("contrast-enhanced")
    if rng.random() < plain:
        return Mention(", ".join(words), sequence, agent, suppressed)
    for key, pattern, share in (
        ("field_strength_t", "{:g} T", 0.5),
        ("tr_ms", "TR {:.0f}", 0.6),
        ("te_ms", "TE {:.0f}", 0.6),
        ("ti_ms", "TI {:.0f}", 0.6),
        ("flip_angle_deg", "flip angle {:.0f}", 0.6),
    ):
        value = getattr(known, key)
        if value is not None and rng.random() < share:
            said[key] = value
            words.append(pattern.format(value))
    return Mention(", ".join(words), sequence, agent, suppressed, **said)


class CaseSlices:
    """Draws batches from real cases as ``batches.SimulatedSlices`` does from anatomies.

    The image with the most labels is the reference: the others are registered to it (unless the
    case says that its headers can be trusted) and all lie on its working grid. An image that
    could not be registered takes no part.

    What real cases do not tell, a batch does not claim: ``known`` is False for structures that
    were not drawn; ``tissue`` is :data:`UNKNOWN` (-1) but for air well outside the body, tumour
    where GTVp or GTVn was drawn, and the tissue map of simulated cases.

    Parameters
    ----------
    patients:
        Cases to draw from; take out what cannot be used with ``Dataset.sound`` first.
    size, pixel_mm, cases, slices, focus, by_structure, flip, device:
        As ``batches.SimulatedSlices``.
    keep:
        So many prepared cases stay in memory (some 10 MB an image); the others are read again
        when they are drawn. Registrations are kept for all.
    registrations:
        Folder in which registrations are also kept for other processes and later runs.
    """

    def __init__(
        self,
        patients: Sequence[DatasetCase],
        size: tuple[int, int],
        pixel_mm: float,
        cases: int,
        slices: int,
        focus: float = 0.5,
        by_structure: float = 0.0,
        flip: bool = True,
        device: str = "cpu",
        keep: int = 16,
        registrations: Path | None = None,
    ) -> None:
        self.patients = tuple(patients)
        self.size, self.pixel_mm = size, pixel_mm
        self.cases, self.slices = cases, slices
        self.focus, self.by_structure = focus, by_structure
        self.flip, self.device, self.keep = flip, device, max(keep, 1)
        self.registrations = registrations
        self._ready: OrderedDict[int, ReadyCase] = OrderedDict()
        self._moves: dict[int, Moves] = {}
        self._together: dict[int, frozenset[str]] = {}

    def draw(
        self,
        rng: np.random.Generator,
        torch_rng: torch.Generator,
        sequences: list[str],
        clean: tuple[str, ...] = (),
        plain: float = 0.4,
        parameters: bool = False,
        around: bool = False,
    ) -> SliceBatch:
        """One batch with an image of each of ``sequences``.

        Only cases that have all of them take part. Images but those of ``clean`` (targets) vary
        a little in brightness; noise and bias are the scanner's own. ``torch_rng`` is not used:
        nothing is simulated. What is drawn depends on ``rng`` alone, not on what is in memory.
        Tissue parameters are not known of real patients, asked for or not.

        ``around``: whether the neighbouring slices of all but ``clean`` sequences are wanted. They
        are zero beyond the end, and where slices are further apart than :data:`base.NEIGHBOUR_MM`.

        Raises
        ------
        InputError
            If no case has all these sequences, or a case that was drawn cannot be read.
        """
        return SliceBatch.joined(
            [self._draw_case(rng, sequences, clean, plain, around) for _ in range(self.cases)]
        )

    def together(self, number: int) -> frozenset[str]:
        """Sequences of case ``number`` that show the same region: any of them may be drawn."""
        if number not in self._together:
            case = self.ready(number)
            left, names = case.body, []
            for name, cover in case.cover.items():
                both = left & (cover >= LEAST_COVER)
                if both.any():
                    left, names = both, [*names, name]
            self._together[number] = frozenset(names)
        return self._together[number]

    def drawable(self, sequences: Sequence[str]) -> bool:
        """Whether a case has all these sequences of the same region."""
        wanted = set(sequences)
        having = [n for n, case in enumerate(self.patients) if wanted <= set(case.images)]
        return any(wanted <= self.together(number) for number in having)

    def ready(self, number: int) -> ReadyCase:
        """Case ``number`` of ``patients`` on its working grid, from memory or from its files."""
        if number not in self._ready:
            self._ready[number] = self._prepared(number)
            while len(self._ready) > self.keep:
                self._ready.popitem(last=False)
        self._ready.move_to_end(number)
        return self._ready[number]

    def _prepared(self, number: int) -> ReadyCase:
        case = self.patients[number]
        if number not in self._moves:
            as_is = case.registered or len(case.images) == 1
            moves = None if as_is else kept_moves(case, self.registrations)
            found, self._moves[number] = prepare_case(case, self.pixel_mm, moves)
            if as_is or moves is not None:
                return found
            keep_moves(case, self._moves[number], self.registrations)
        # as whenever it is read again, so that a resumed run sees the very same voxels
        return prepare_case(case, self.pixel_mm, self._moves[number])[0]

    def _draw_case(self, rng, sequences, clean, plain, around) -> SliceBatch:
        having = [n for n, case in enumerate(self.patients) if set(sequences) <= set(case.images)]
        for number in rng.permutation(having):
            case = self.ready(int(number))
            if not set(sequences) <= set(case.stack):
                continue
            shown = case.body & np.all([case.cover[s] >= LEAST_COVER for s in sequences], axis=0)
            if shown.any():
                levels = np.flatnonzero(shown)
                return self._cut(case, levels, rng, sequences, clean, plain, around)
        raise InputError(
            f"None of the {len(self.patients)} cases has {' and '.join(sequences)} of the same "
            "region; choose other sequences or add cases."
        )

    def _cut(self, case, levels, rng, sequences, clean, plain, around) -> SliceBatch:
        """Slices at some of ``levels`` under a random in-plane rotation, scale and shift."""
        images: dict[str, list[torch.Tensor]] = {s: [] for s in sequences}
        nearby: dict[str, list[torch.Tensor]] = {s: [] for s in sequences}
        masks, tissues = [], []
        bits = torch.from_numpy(np.array([int(bit(n)) for n in LABELLED_STRUCTURES], np.int64))
        near = case.spacing[2] <= NEIGHBOUR_MM
        for _ in range(self.slices):
            level = self._level(case, levels, rng)
            grid = self._places(case, rng)
            for s in sequences:
                images[s].append(_sampled(case.stack[s][level], grid))
                seen = near and s not in clean
                nearby[s].append(_neighbours(case.stack[s], level if seen else None, grid))
            flags = torch.from_numpy(case.structures[level].astype(np.int64))
            single = ((flags[None] & bits[:, None, None]) != 0).float()
            masks.append(functional.grid_sample(single[None], grid, align_corners=True)[0] > 0.5)
            above = _sampled(case.tissue[level] - UNKNOWN, grid, "nearest")  # 0 beyond the edge
            tissues.append(above.round().long() + UNKNOWN)
        known = torch.tensor([name in case.passes for name in LABELLED_STRUCTURES])
        gains = {s: 1.0 if s in clean else float(rng.uniform(0.88, 1.12)) for s in sequences}

        def bright(found: dict[str, list[torch.Tensor]]) -> dict[str, torch.Tensor]:
            return {
                s: (torch.stack(found[s]) / gains[s]).clamp(0, 2).to(self.device) for s in sequences
            }

        return SliceBatch(
            bright(images),
            {s: [mention_of(case.headers[s], rng, plain)] * self.slices for s in sequences},
            torch.stack(tissues).to(self.device),
            torch.stack(masks).to(self.device),
            known.to(self.device).expand(self.slices, -1),
            around=bright(nearby) if around else None,
        )

    def _level(self, case: ReadyCase, levels: np.ndarray, rng: np.random.Generator) -> int:
        """A slice through a structure drawn at random, or the tumour (else its place), or any."""
        share = rng.random()
        groups: list[tuple[str, ...]] = []
        if share < self.by_structure:
            groups = [(name,) for name in case.passes]
        elif share < self.by_structure + self.focus:
            seen = any(case.passes[name].any() for name in _TUMOUR if name in case.passes)
            groups = [_TUMOUR if seen else _REGION]
        found = [
            levels[np.any([case.passes[name][levels] for name in group], axis=0)]
            for group in ([name for name in names if name in case.passes] for names in groups)
            if group
        ]
        found = [some for some in found if some.size]
        return int(rng.choice(found[int(rng.integers(len(found)))] if found else levels))

    def _places(self, case: ReadyCase, rng: np.random.Generator) -> torch.Tensor:
        """(1, rows, columns, 2): where to sample, in the coordinates of ``grid_sample``."""
        rows, columns = self.size
        angle = np.deg2rad(rng.normal(0, 6))
        step = self.pixel_mm * rng.uniform(0.9, 1.1) / case.spacing[1::-1]  # of row, of column
        mirror = -1.0 if self.flip and rng.random() < 0.5 else 1.0
        slack = np.maximum(case.box[1] - case.box[0] - np.array(self.size) * step, 0)
        centre = case.box.mean(0) + rng.uniform(-0.45, 0.45, 2) * slack
        v = (np.arange(rows) - rows / 2 + 0.5)[:, None]
        u = (np.arange(columns) - columns / 2 + 0.5)[None, :] * mirror
        y = centre[0] + (np.cos(angle) * v - np.sin(angle) * u) * step[0]
        x = centre[1] + (np.sin(angle) * v + np.cos(angle) * u) * step[1]
        height, width = case.structures.shape[1:]
        places = np.stack([2 * x / max(width - 1, 1) - 1, 2 * y / max(height - 1, 1) - 1], -1)
        return torch.from_numpy(places.astype(np.float32))[None]


def _sampled(image: np.ndarray, grid: torch.Tensor, mode: str = "bilinear") -> torch.Tensor:
    """(rows, columns) of ``image`` at ``grid``; 0 beyond its edge."""
    values = torch.from_numpy(np.ascontiguousarray(image, np.float32))[None, None]
    return functional.grid_sample(values, grid, mode=mode, align_corners=True)[0, 0]


def _neighbours(stack: np.ndarray, level: int | None, grid: torch.Tensor) -> torch.Tensor:
    """(2, rows, columns): the slices below and above ``level`` at ``grid``; 0 where none is."""
    found = torch.zeros(2, *grid.shape[1:3])
    for place, other in enumerate(() if level is None else (level - 1, level + 1)):
        if 0 <= other < len(stack):
            found[place] = _sampled(stack[other], grid)
    return found
