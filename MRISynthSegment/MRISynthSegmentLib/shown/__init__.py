"""What a panel reads from and sets of a segmentation that is shown in a scene."""
