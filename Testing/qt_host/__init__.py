"""A Qt test host: the modules' panels on real widgets, off screen, without desktop Slicer.

PySide6 is real Qt, but Slicer's Python speaks to Qt through PythonQt, which has other habits. The
parts here lay those over PySide6 and stand in for the widgets of CTK and Slicer:

``pythonqt``   wrapped objects: properties are attributes, unknown attributes fail
``signals``    ``connect("clicked(bool)", f)`` with as many arguments as ``f`` takes
``qt_module``  what modules import as ``qt`` and ``ctk``
``ui_loader``  .ui files; classes and properties that do not exist fail
``ctk_widgets``, ``mrml_widgets``  stand-ins with the properties and slots of the real ones
``parameter_node``  stand-in for ``slicer.parameterNodeWrapper``
``application`` ``slicer.app`` and the windows that ask something
``slicer_source``  Slicer's own Python files in place of the stand-ins
``desk``       all of it set up around a scene, for the fixture of the same name

The host permits what PySide6 permits, so it cannot prove how PythonQt converts arguments or who
owns an object: modules keep to the calls that Slicer's own scripted modules use. Module code never
knows of the host.
"""

import ctypes
import os
import sys

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

if sys.version_info < (3, 12):
    # PySide6 6.12 gives None and the truth values back once too often in many calls. Python 3.11
    # counts, and ends the process when nobody is left to hold them; later ones keep them for ever.
    for kept in (None, True, False):
        ctypes.c_ssize_t.from_address(id(kept)).value += 1 << 40
