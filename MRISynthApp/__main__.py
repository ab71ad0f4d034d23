"""``mrisynth`` and ``python -m MRISynthApp``."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code: 0 done, 2 the request or the input is
    wrong, 1 anything else."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    try:
        from .cli import run

        return run(arguments)
    except KeyboardInterrupt:
        print("Stopped; nothing was written.", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
