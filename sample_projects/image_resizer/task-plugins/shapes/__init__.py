"""The task plugins of this project."""
