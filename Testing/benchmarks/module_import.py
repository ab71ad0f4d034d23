"""What each module adds to Slicer's start: its import and its entry in the module list.

    python Testing/benchmarks/module_import.py [repetitions]

Each repetition is a process of its own, in which Slicer's own parts are stand-ins, so that only the
product's files and what they import count. Compiled files are there, as after installation. Prints
the median in milliseconds, of the processor and of the clock; on a busy machine they differ, and
only the first says something about the product.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MODULES = ("MRISynth", "MRISynthSegment")
LIMIT_MS = 50

MEASURE = """
import collections.abc, contextlib, dataclasses, functools, json, logging, pathlib, re, sys, time
import tempfile, types, typing, unittest
sys.path[:0] = {paths!r}
import slicer_standins
sys.modules.update(slicer_standins.modules())
sys.modules.update({{name: types.ModuleType(name) for name in ("qt", "ctk", "vtk")}})
slicer = sys.modules["slicer"] = types.ModuleType("slicer")
slicer.__getattr__ = lambda name: type(name, (), {{}}) if name.startswith("vtkMRML") else None
slicer.app = types.SimpleNamespace(connect=lambda signal, function: None)
sys.modules["slicer.util"] = slicer_standins.module("util", VTKObservationMixin=object)
spent = {{}}
for name in {modules!r}:
    clock, processor = time.perf_counter(), time.process_time()
    module = __import__(name)
    getattr(module, name)(types.SimpleNamespace(path=module.__file__))
    spent[name] = [time.perf_counter() - clock, time.process_time() - processor]
print(json.dumps(spent))
"""


def measure(compiled: str) -> dict[str, list[float]]:
    """Module -> seconds of the clock and of the processor, in one fresh process.

    ``compiled`` is the folder of the compiled files; what it lacks is written into it, even where
    the caller's environment says not to.
    """
    paths = [str(ROOT / part) for part in ("Testing", *MODULES)]
    code = MEASURE.format(paths=paths, modules=MODULES)
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": compiled}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    return json.loads(answer.stdout)


def main(repetitions: int = 15) -> None:
    """Print the medians."""
    with tempfile.TemporaryDirectory() as compiled:
        measure(compiled)  # compiles
        found = [measure(compiled) for _ in range(repetitions)]
    for name in MODULES:
        clock, processor = (
            1000 * statistics.median(times[name][kind] for times in found) for kind in (0, 1)
        )
        verdict = "under" if processor < LIMIT_MS else "over"
        print(f"{name}: {processor:.1f} ms, {verdict} {LIMIT_MS} ms ({clock:.1f} ms of the clock)")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
