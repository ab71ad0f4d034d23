"""The warm inference process that every face uses.

A face makes a :class:`WorkerClient`, submits jobs and listens to their events. The client
starts a second Python process that imports torch, holds the loaded models and does the
work; the face's own process never imports torch. See :mod:`.client` for the guarantees.

    >>> with WorkerClient() as client:                                   # doctest: +SKIP
    ...     job = client.submit("synthesize", parameters, volumes)
    ...     result = job.wait()
"""

from .client import DEFAULT_TASKS, Job, WorkerClient
from .messages import Accepted, Done, Failed
from .tasks import ModelCache, TaskResult

__all__ = [
    "DEFAULT_TASKS",
    "Accepted",
    "Done",
    "Failed",
    "Job",
    "ModelCache",
    "TaskResult",
    "WorkerClient",
]
