"""What an export needs of a scene."""
