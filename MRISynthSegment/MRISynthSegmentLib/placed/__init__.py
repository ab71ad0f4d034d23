"""A segmentation in a scene, and the image on which it lies."""
