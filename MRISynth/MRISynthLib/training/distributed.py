"""One training run in several processes, as ``torchrun`` starts them: on one GPU each, or on CPUs.

Gradients are averaged over the processes after each backward pass, without
``DistributedDataParallel``: networks are called by ``encode`` and ``decode``, not by ``forward``,
and some parameters take no part in some steps. What the processes agree on goes over gloo, the
gradients over the fastest that their device has.
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.distributed as dist

from ..errors import Cancelled, WorkerError

LONGEST_WAIT = datetime.timedelta(days=7)
"""For the first process to prepare patients or to validate; if it dies, that is seen at once."""

BUCKET = 8_000_000
"""Numbers that are sent at a time."""


class EndedElsewhere(Cancelled):
    """Another process of the run has ended, and has said why; so this one stops."""

    def __init__(self) -> None:
        super().__init__("Another process of the training run has ended; its message says why.")


@dataclass(frozen=True)
class Group:
    """The processes of a run, seen from one of them.

    rank, size: which one of how many; local_rank, local_size: the same among those of this
    machine. Every method that waits must be called by all processes.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this process writes, reports and validates."""
        return self.rank == 0

    def reporter(self, report: Callable[[str], None]) -> Callable[[str], None]:
        """``report`` in the first process, silence in the others."""
        return report if self.is_first else lambda text: None

    def seed(self, seed: int) -> int:
        """A seed for this process alone; that of the first is ``seed`` itself."""
        if self.is_first:
            return seed
        return int(np.random.SeedSequence((seed, self.rank)).generate_state(1, np.uint32)[0])

    def wait(self) -> None:
        """Until all processes have come here.

        Raises
        ------
        EndedElsewhere
            If one of them has ended.
        """
        self._sum(torch.zeros(1))

    @contextmanager
    def in_turn(self) -> Iterator[None]:
        """The first process alone, then, if it succeeded, the others.

        Raises
        ------
        EndedElsewhere
            In the others, if the first failed in the body.
        """
        if self.size > 1 and not self.is_first and self._sum(torch.zeros(1)).item():
            raise EndedElsewhere
        try:
            yield
        except BaseException:
            if self.is_first:
                with suppress(EndedElsewhere):
                    self._sum(torch.ones(1))
            raise
        if self.is_first:
            self._sum(torch.zeros(1))

    def gather(self, value: Any) -> list[Any]:
        """What every process has as ``value``, by rank."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        with _needing_the_others():
            dist.all_gather_object(values, value)
        return values

    @torch.no_grad()
    def share_weights(self, network: torch.nn.Module) -> None:
        """Give all processes the weights and buffers of the first."""
        if self.size == 1:
            return
        for value in network.state_dict().values():
            sent = value.contiguous()
            with _needing_the_others():
                dist.broadcast(sent, 0)
            value.copy_(sent)

    @torch.no_grad()
    def average_gradients(
        self, parameters: Sequence[torch.nn.Parameter], sound: bool = True
    ) -> bool:
        """Mean gradients over the processes in all of them.

        A parameter that took no part in a process counts there with a gradient of zero; one that
        took part in none keeps no gradient.

        Parameters
        ----------
        sound:
            Whether this process' loss was finite.

        Returns
        -------
        Whether all were; otherwise the gradients are left as they are.
        """
        if self.size == 1:
            return sound
        flags = [not sound, *(parameter.grad is not None for parameter in parameters)]
        counts = self._sum(torch.tensor(flags, dtype=torch.float32)).tolist()
        if counts[0]:
            return False
        used = [p for p, count in zip(parameters, counts[1:], strict=True) if count]
        for parameter in used:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        self._average([parameter.grad for parameter in used])
        return True

    @torch.no_grad()
    def average_buffers(self, network: torch.nn.Module) -> None:
        """Mean buffers (running statistics) over the processes in all of them."""
        if self.size > 1:
            self._average([b for b in network.buffers() if b.dtype.is_floating_point])

    def _average(self, tensors: Sequence[torch.Tensor]) -> None:
        for bucket in _buckets(tensors):
            flat = torch.cat([tensor.reshape(-1) for tensor in bucket])
            parts = (self._sum(flat) / self.size).split([tensor.numel() for tensor in bucket])
            for tensor, part in zip(bucket, parts, strict=True):
                tensor.copy_(part.view(tensor.shape))

    def _sum(self, values: torch.Tensor) -> torch.Tensor:
        if self.size > 1:
            with _needing_the_others():
                dist.all_reduce(values)
        return values


ALONE = Group()
"""A run in one process."""


@contextmanager
def processes() -> Iterator[Group]:
    """The group that ``torchrun`` has started this process in, or :data:`ALONE`.

    Raises
    ------
    WorkerError
        If the processes do not find each other.
    """
    size = int(os.environ.get("WORLD_SIZE", "1")) if "RANK" in os.environ else 1
    if size == 1:
        yield ALONE
        return
    nccl = torch.cuda.is_available() and dist.is_nccl_available()
    try:
        dist.init_process_group("cpu:gloo,cuda:nccl" if nccl else "gloo", timeout=LONGEST_WAIT)
    except (RuntimeError, ValueError) as error:
        raise WorkerError(
            f"The {size} processes of the training run do not find each other "
            f"({' '.join(str(error).split())[:200]}); start them with torchrun."
        ) from error
    try:
        local_rank = int(os.environ.get("LOCAL_RANK", "0"))
        local_size = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
        yield Group(dist.get_rank(), size, local_rank, local_size)
    finally:
        dist.destroy_process_group()


def started_first() -> bool:
    """Whether this process is alone or the first of those that ``torchrun`` started."""
    return os.environ.get("RANK", "0") == "0"


@contextmanager
def _needing_the_others() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:  # a broken connection has no type of its own
        raise EndedElsewhere from error


def _buckets(tensors: Sequence[torch.Tensor]) -> Iterator[list[torch.Tensor]]:
    """Tensors of one type and device, some at a time."""
    bucket: list[torch.Tensor] = []
    for tensor in tensors:
        full = bucket and sum(one.numel() for one in bucket) + tensor.numel() > BUCKET
        other = bucket and (bucket[0].dtype, bucket[0].device) != (tensor.dtype, tensor.device)
        if full or other:
            yield bucket
            bucket = []
        bucket.append(tensor)
    if bucket:
        yield bucket
