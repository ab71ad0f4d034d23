# What Slicer does to package an extension goes on from the installed files.
