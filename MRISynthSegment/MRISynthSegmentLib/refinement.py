"""Correcting one structure by clicks.

The network is given its own result so far and the clicks as maps, as DeepEdit does (A. Diaz-Pinto
et al., MICCAI Workshop on Data Augmentation, Labelling, and Imperfections 2022). What it answers is
taken over only about the last click, so that a click never undoes work elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from scipy import ndimage
from torch.nn import functional

from MRISynthLib.boxes import Box, covering_box, moved
from MRISynthLib.errors import InputError
from MRISynthLib.preprocessing.preparation import Prepared
from MRISynthLib.preprocessing.resampling import index_map, resample
from MRISynthLib.progress import SILENT, Callbacks
from MRISynthLib.volume import Volume

from .click_maps import Click, click_map
from .network_inputs import NetworkInputs, arranged, synthetic_among
from .reference_grid import resampled
from .segmenter import Segmenter

REACH_MM = 25.0
"""Nothing further from the last click changes."""

DEPTHS, RADII = 2.0, 0.7
"""Nor further than so many times the depth of the error that was clicked on, or the radius of a
ball as large as the structure, whichever is more."""

DEPTH_MM = 10.0
"""Nor anything in slices further away than this."""

WINDOW = 128
"""Rows and columns about the click that the network sees, as in its training."""

TOUCH_MM = 6.0
"""A change is taken over if some of it comes so near to the click."""

DOT_MM = 2.0
"""What is drawn where the network does not do as asked, and what an earlier click protects."""

SLICES_AT_ONCE = 4


class Refiner:
    """Corrects structures of one patient by clicks.

    Parameters
    ----------
    segmenter:
        Its network must take clicks.
    prepared, inputs:
        What ``segmenter.prepare`` made of the inputs, and these.

    Raises
    ------
    InputError
        If the model takes no clicks.
    """

    def __init__(self, segmenter: Segmenter, prepared: Prepared, inputs: Sequence[Volume]) -> None:
        check_takes_clicks(segmenter)
        self.segmenter, self.prepared = segmenter, prepared
        self._synthetic = synthetic_among(inputs)

    def refine(
        self,
        structure: str,
        previous: np.ndarray,
        clicks: Sequence[Click],
        *,
        callbacks: Callbacks = SILENT,
    ) -> np.ndarray:
        """The structure after the last of ``clicks``.

        A click that adds only adds, and one that removes only removes, connected to where it is
        and within :data:`REACH_MM`; everything else stays as it was, voxel by voxel. The clicked
        voxel always ends as asked. All clicks count for what the network draws, and what was
        clicked earlier is left alone.

        Parameters
        ----------
        structure:
            Its name, for messages.
        previous:
            Mask or probability (slices, rows, columns) on the reference's grid.
        clicks:
            All clicks on this structure so far, the new one last.

        Returns
        -------
        Boolean mask on the reference's grid.

        Raises
        ------
        InputError
            If there is no click, the last lies outside the image, or ``previous`` is of another
            grid.
        Cancelled
            If the callbacks say so.
        """
        reference, grid = self.prepared.reference, self.prepared.grid
        if tuple(previous.shape) != reference.shape:
            raise InputError(
                f"{structure} has the shape {tuple(previous.shape)}, but {reference.name} has "
                f"{reference.shape}; give it on the grid of the first input."
            )
        if not clicks:
            raise InputError(f"There is no click on {structure}; click where it is wrong.")
        last = clicks[-1]
        voxel = self._voxel(last, structure)
        region = _Region(last, reference, grid.index_to_world[:3, 2])
        window = self._window(last)
        found = self._answer(previous, clicks, window, callbacks)
        before = previous[region.box] > 0.5
        here = tuple(n - side.start for n, side in zip(voxel, region.box, strict=True))
        asked = resampled(found, window, region.box, grid) > 0.5
        reach = _reach(previous, before, here, last.adds, reference)
        change = (asked & ~before) if last.adds else (before & ~asked)
        change &= region.within & (region.distance <= reach)
        change = _touching(change, region.distance, reference)
        if before[here] != last.adds and not change[here]:  # the network did not do it
            change = change | region.dot()
        for click in clicks[:-1]:
            if click.adds != last.adds:
                change &= ~region.protected_by(click)
        change[here] = True
        result = previous > 0.5
        result[region.box] = before | change if last.adds else before & ~change
        return result

    def _voxel(self, click: Click, structure: str) -> tuple[int, int, int]:
        """(slice, row, column) of the reference that was clicked."""
        reference = self.prepared.reference
        index = np.linalg.solve(reference.index_to_world, [*click.point, 1.0])[:3]
        voxel = tuple(int(n) for n in np.rint(index)[::-1])
        if any(not 0 <= n < size for n, size in zip(voxel, reference.shape, strict=True)):
            place = ", ".join(f"{value:.1f}" for value in click.point)
            raise InputError(
                f"The click on {structure} at ({place}) mm lies outside {reference.name}; click "
                "inside the image (coordinates are LPS)."
            )
        return voxel

    def _index(self, click: Click) -> tuple[float, float, float]:
        """(slice, row, column) of the working grid, not rounded."""
        index = np.linalg.solve(self.prepared.grid.index_to_world, [*click.point, 1.0])
        return float(index[2]), float(index[1]), float(index[0])

    def _window(self, click: Click) -> Box:
        """Slices, rows and columns of the working grid that the network is to look at."""
        shape, centre = self.prepared.grid.shape, self._index(click)
        deep = DEPTH_MM / float(self.prepared.grid.spacing[2])
        low = int(np.clip(np.floor(centre[0] - deep), 0, shape[0] - 1))
        high = int(np.clip(np.ceil(centre[0] + deep), 0, shape[0] - 1))
        sides = [slice(low, high + 1)]
        for place, size in zip(centre[1:], shape[1:], strict=True):
            start = int(np.clip(round(place) - WINDOW // 2, 0, max(0, size - WINDOW)))
            sides.append(slice(start, min(start + WINDOW, size)))
        return tuple(sides)

    @torch.inference_mode()
    def _answer(
        self, previous: np.ndarray, clicks: Sequence[Click], window: Box, callbacks: Callbacks
    ) -> np.ndarray:
        """What the network makes of result and clicks: 0 to 1 in the window, float32."""
        model = self.segmenter
        edit = self._edit(previous, clicks, window)
        names = self._covering(window)
        found = np.zeros(edit.shape[:1] + edit.shape[2:], np.float32)
        for start in range(0, len(edit), SLICES_AT_ONCE):
            callbacks.check()
            part = slice(start, min(start + SLICES_AT_ONCE, len(edit)))
            slices = range(window[0].start + part.start, window[0].start + part.stop)
            given = arranged(
                self.prepared, names, slices, self._synthetic, model.network, model.device,
                window[1], window[2],
            )  # fmt: skip
            with model.autocast():
                logits = model.network(
                    given.images,
                    around=given.around,
                    synthetic=given.synthetic,
                    edit=_padded(edit[part], given).to(model.device),
                )
            rows, columns = given.shape
            answer = torch.sigmoid(logits[:, -1, :rows, :columns].float())
            found[part] = answer.cpu().numpy()
            callbacks.progress("segment", part.stop, len(edit))
        return found

    def _edit(self, previous: np.ndarray, clicks: Sequence[Click], window: Box) -> np.ndarray:
        """(slices, 3, rows, columns): the result so far, clicks that add, clicks that remove."""
        grid = self.prepared.grid
        shape = tuple(side.stop - side.start for side in window)
        first = tuple(float(side.start) for side in window)
        edit = np.zeros((shape[0], 3, *shape[1:]), np.float32)
        edit[:, 0] = self._on_grid(previous, window, shape)
        for place, adds in ((1, True), (2, False)):
            points = [self._index(click) for click in clicks if click.adds == adds]
            edit[:, place] = click_map(points, shape, grid.spacing, first)
        return edit

    def _on_grid(self, previous: np.ndarray, window: Box, shape) -> np.ndarray:
        """The result so far in the window of the working grid, 0 to 1."""
        grid = self.prepared.grid
        to_reference = index_map(grid.index_to_world, grid.reference_to_world)
        place = covering_box(window, to_reference, previous.shape, margin=3)
        if place is None or not previous[place].any():
            return np.zeros(shape, np.float32)
        mapping = moved(place, -1) @ to_reference @ moved(window, 1)
        # smoothed where the working grid is coarser: what is left then is the share of a pixel
        found = resample(np.asarray(previous[place], np.float32), mapping, shape, order=1)
        return np.clip(found, 0, 1)

    def _covering(self, window: Box) -> list[str]:
        """The inputs that have voxels in most of the window; all, if none has."""
        valid = self.prepared.valid
        names = [
            name
            for name in self.prepared.stack
            if valid[name] is None or valid[name][window].mean() > 0.5
        ]
        return names or list(self.prepared.stack)


def check_takes_clicks(segmenter: Segmenter) -> None:
    """Raise InputError if the model cannot correct by clicks."""
    if not segmenter.takes_clicks:
        raise InputError(
            f"The model {segmenter.bundle.name} takes no clicks; choose one that does, or correct "
            "its contours in the Segment Editor."
        )


class _Region:
    """The voxels of the reference about a click that it may change."""

    def __init__(self, click: Click, reference: Volume, axis: np.ndarray) -> None:
        centre = np.array(click.point)
        corners = [
            (*(centre + REACH_MM * np.where(which, 1, -1)), 1.0) for which in np.ndindex(2, 2, 2)
        ]
        reached = np.linalg.solve(reference.index_to_world, np.array(corners).T)[:3].T
        low = np.clip(np.floor(reached.min(0)), 0, np.array(reference.shape[::-1]) - 1)
        high = np.clip(np.ceil(reached.max(0)), 0, np.array(reference.shape[::-1]) - 1)
        self.box: Box = tuple(
            slice(int(a), int(b) + 1) for a, b in zip(low[::-1], high[::-1], strict=True)
        )
        index = np.meshgrid(*(np.arange(s.start, s.stop) for s in self.box), indexing="ij")
        matrix = reference.index_to_world
        self._places = np.stack(index[::-1], -1) @ matrix[:3, :3].T + matrix[:3, 3]
        away = self._places - centre
        self.distance = np.linalg.norm(away, axis=-1)
        self._deep = np.abs(away @ (axis / np.linalg.norm(axis)))
        self._thick = np.abs(matrix[:3, :3].T @ (axis / np.linalg.norm(axis))).max()
        self.within = (self.distance <= REACH_MM) & (self._deep <= DEPTH_MM)

    def dot(self) -> np.ndarray:
        """A small disc about the click, in its slice."""
        return (self.distance <= DOT_MM) & (self._deep <= self._thick / 2)

    def protected_by(self, click: Click) -> np.ndarray:
        """Voxels close to an earlier click, and closer to it than to the new one."""
        distance = np.linalg.norm(self._places - np.array(click.point), axis=-1)
        near = (distance <= DOT_MM) | (distance == distance.min(initial=np.inf))
        return near & (distance < self.distance) & (distance <= REACH_MM)


def _reach(
    previous: np.ndarray,
    before: np.ndarray,
    here: tuple[int, int, int],
    adds: bool,
    reference: Volume,
) -> float:
    """Millimetres about a click within which it may change a structure, at most :data:`REACH_MM`.

    A click just beyond the border means little, one far from it much; and in a lens what would be
    little in a tumour is everything.
    """
    size = (previous > 0.5).sum() * float(reference.spacing.prod())
    wrong = ~before if adds else before
    if not size or wrong.all():
        return REACH_MM
    depth = ndimage.distance_transform_edt(wrong, sampling=reference.spacing[::-1])[here]
    radius = (3 * size / (4 * np.pi)) ** (1 / 3)
    return float(np.clip(max(DEPTHS * depth, RADII * radius), DOT_MM, REACH_MM))


def _touching(change: np.ndarray, distance: np.ndarray, reference: Volume) -> np.ndarray:
    """The connected parts of a change that come near to the click."""
    labels, count = ndimage.label(change, np.ones((3, 3, 3)))
    if not count:
        return change
    # thick slices: the click's own voxel and its neighbours always count as near
    limit = max(TOUCH_MM, 1.1 * float(reference.spacing.max()))
    near = np.unique(labels[(distance <= limit) & change])
    return np.isin(labels, near[near > 0])


def _padded(edit: np.ndarray, given: NetworkInputs) -> torch.Tensor:
    """As large as the images that the network is given."""
    rows, columns = next(iter(given.images.values())).shape[-2:]
    pad = (0, columns - edit.shape[-1], 0, rows - edit.shape[-2])
    return functional.pad(torch.from_numpy(np.ascontiguousarray(edit)), pad)
