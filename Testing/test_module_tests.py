"""The tests that run inside Slicer run here too, with the same bodies."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import types
import unittest
from pathlib import Path

import pytest

MODULES = ("MRISynth", "MRISynthSegment")
IN_SLICER = Path(__file__).parent / "Python"


@pytest.mark.parametrize("name", MODULES)
def test_the_modules_own_tests_pass(desk, name):
    module = importlib.import_module(name)
    getattr(module, f"{name}Test")("runTest").runTest()


@pytest.mark.parametrize("name", MODULES)
def test_slicers_module_list_says_what_a_module_is(desk, name):
    module = importlib.import_module(name)
    parent = types.SimpleNamespace(path=module.__file__)
    getattr(module, name)(parent)
    assert parent.categories == ["Image Synthesis"] and "simulated patients" in parent.helpText


@pytest.mark.slow
@pytest.mark.parametrize("path", sorted(IN_SLICER.glob("*Test.py")), ids=lambda path: path.stem)
def test_what_slicer_runs_as_a_test_of_its_own_passes(desk, path, monkeypatch):
    """With the real worker and the models that are shipped."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, path.stem, module)
    spec.loader.exec_module(module)
    result = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromModule(module).run(result)
    assert result.testsRun and not result.skipped, result.skipped
    assert result.wasSuccessful(), "\n".join(text for _, text in result.errors + result.failures)
