"""Dioptra: run the entry points of an MLproject file on this machine."""

__version__ = "0.1.0"
