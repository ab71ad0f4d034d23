"""``python -m MRISynthLib.worker``: started by :class:`WorkerClient`, not by hand."""

from .serve import main

main()
