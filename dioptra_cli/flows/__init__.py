"""What is made of the flows that run in a child: read from its event files, kept as a record, drawn as a picture.

Knows nothing of processes, terminals or tracking, and imports nothing heavy: a run without flows pays nothing.
"""
