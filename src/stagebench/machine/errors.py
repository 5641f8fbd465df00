"""What can go wrong around a measurement."""


class StorageError(Exception):
    """A file cannot be written; the message is one sentence with its path."""


class ShortageError(Exception):
    """The machine has less memory than a measurement takes; the message is one sentence with the figures."""
