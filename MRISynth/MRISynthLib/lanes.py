"""Pieces of one work side by side on the cores of a CPU."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

from .devices import free_memory_mb

Piece = TypeVar("Piece")
Result = TypeVar("Result")

MOST_SLICES = 32
"""At once on a GPU, where memory allows."""

MEMORY_SHARE = 0.4
"""Of the free memory, what slices may take; the rest is for the results and others' needs."""


def most_lanes(device: torch.device) -> int:
    """How many pieces are best computed at once: one per core that torch may use on a CPU.

    A slice's layers are too small for several cores to share one; slices need nothing of each
    other. Other devices, and builds of torch whose number of threads holds for the whole process,
    have one lane.
    """
    by_thread = "backend: OpenMP" in torch.__config__.parallel_info()
    return torch.get_num_threads() if device.type == "cpu" and by_thread else 1


def most_at_once(device: torch.device, megabytes: float) -> int:
    """How many slices may be under way at once, each taking so much memory; at least one."""
    fits = int(MEMORY_SHARE * free_memory_mb(device) / megabytes)
    # beyond a few slices a CPU gains nothing, and cancelling gets slow
    most = MOST_SLICES if device.type == "cuda" else max(2, most_lanes(device))
    return max(1, min(fits, most))


def divided(device: torch.device, at_once: int) -> tuple[int, int]:
    """Lanes, and slices of a piece, for so many slices under way: one piece of all of them on a
    GPU, each in a lane of its own where there are lanes."""
    lanes = at_once if most_lanes(device) > 1 else 1
    return lanes, at_once // lanes


def side_by_side(
    work: Callable[[Piece], Result], pieces: Iterable[Piece], lanes: int
) -> Iterator[tuple[Piece, Result]]:
    """Each piece with what ``work`` makes of it, in their order.

    With several lanes each is a thread in which torch uses one core; torch's modes (inference,
    autocast) do not reach into it, so ``work`` must enter them. What ``work`` raises is raised
    here. Whoever stops early waits for the pieces that are under way, but for no others.
    """
    if lanes == 1:
        for piece in pieces:
            yield piece, work(piece)
        return
    threads = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(lanes, "lane", torch.set_num_threads, (1,)) as pool:
            yield from _in_order(pool, work, pieces, lanes)
    finally:
        # the lanes' number had become that of all threads to come
        torch.set_num_threads(threads)


def _in_order(pool, work, pieces, lanes) -> Iterator[tuple[Piece, Result]]:
    ahead: deque = deque()
    waiting = iter(pieces)
    try:
        while True:
            # one more than lanes: none rests while the caller looks at a result
            while len(ahead) <= lanes and (piece := next(waiting, None)) is not None:
                ahead.append((piece, pool.submit(work, piece)))
            if not ahead:
                return
            piece, future = ahead.popleft()
            yield piece, future.result()
    finally:
        for _, future in ahead:
            future.cancel()
