"""Files that must stay as they were when they were checked."""

from __future__ import annotations

import os

from stagebench.datasets.manifest import Manifest
from stagebench.datasets.names import shown


class Watch:
    """Knows the files of a data set as they were checked; looking takes 3 us a file."""

    def __init__(self, manifest: Manifest) -> None:
        """Look at every file, to know those that were checked at another time."""
        self._root = manifest.root.as_posix()
        self._images = manifest.train + manifest.test
        self._modified_ns = [image.modified_ns for image in self._images]
        self.change()

    def change(self) -> str | None:
        """Say what has become of the first file that is not as it was, or return None."""
        for number, image in enumerate(self._images):
            path = f"{self._root}/{image.path}"
            try:
                found = os.stat(path)  # noqa: PTH116, a Path takes twice as long
            except OSError as error:
                return f"{shown(path)} can no longer be read: {error.strerror}"
            known = self._modified_ns[number]
            if known is None:
                known = found.st_mtime_ns
            if (found.st_size, found.st_mtime_ns) != (image.bytes, known):
                return f"{shown(path)} has changed since it was checked"
            self._modified_ns[number] = known
        return None
