"""The error of a data set that cannot be used."""


class DatasetError(Exception):
    """A data set cannot be prepared or read; the message is one sentence with the path or value at fault."""
