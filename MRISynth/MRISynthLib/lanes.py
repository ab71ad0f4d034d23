"""Pieces of one work side by side on the cores of a CPU."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

Piece = TypeVar("Piece")
Result = TypeVar("Result")


def most_lanes(device: torch.device) -> int:
    """How many pieces are best computed at once: one per core that torch may use on a CPU.

    A slice's layers are too small for several cores to share one; slices need nothing of each
    other. Other devices, and builds of torch whose number of threads holds for the whole process,
    have one lane.
    """
    by_thread = "backend: OpenMP" in torch.__config__.parallel_info()
    return torch.get_num_threads() if device.type == "cpu" and by_thread else 1


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
