"""The typed record of a run: read and written in one place."""
