"""Between masks and the label maps in which Slicer keeps segments."""
