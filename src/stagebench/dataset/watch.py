"""Files that must stay as they were when they were checked."""

from __future__ import annotations

from pathlib import Path

from stagebench.dataset.manifest import SPLITS, Manifest
from stagebench.dataset.names import shown


class Watch:
    """Knows the files of a data set as they were when it was made; looking takes 6 us a file."""

    def __init__(self, manifest: Manifest) -> None:
        """Look at every file."""
        self._sizes = {
            path: image.bytes
            for split in SPLITS
            for path, image in zip(manifest.paths(split), manifest.images(split), strict=True)
        }
        self._files: dict[str, tuple[int, int]] = {}
        self.change()

    def change(self) -> str | None:
        """Say what has become of the first file that is not as it was, or return None."""
        for path, size in self._sizes.items():
            try:
                found = Path(path).stat()
            except OSError as error:
                return f"{shown(path)} can no longer be read: {error.strerror}"
            now = (found.st_mtime_ns, found.st_ino)
            if found.st_size != size or self._files.setdefault(path, now) != now:
                return f"{shown(path)} has changed since it was checked"
        return None
