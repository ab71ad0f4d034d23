"""The segments of a Slicer segmentation as regions in which images are compared."""
