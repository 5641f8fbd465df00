"""What can go wrong with the files around a measurement."""


class StorageError(Exception):
    """A file cannot be written; the message is one sentence with its path."""
