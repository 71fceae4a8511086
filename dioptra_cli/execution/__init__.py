"""Everything with a side effect on this machine: downloads, the command, its environment, its process."""
