"""Prepared trees on disk: each appears whole or not at all, is verified on reuse and rebuilt when damaged."""

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

from stagebench.datasets.errors import DatasetError
from stagebench.datasets.locks import locked, try_lock
from stagebench.datasets.manifest import MANIFEST_NAME, Manifest, fingerprint_of
from stagebench.datasets.parallel import Progress, chunks, processes_for, run_tasks

_LAYOUT = 2  # since then manifests say the size of the pictures
_HIDDEN_SUFFIX = ".building"
_FILES_PER_PROCESS = 10_000  # reading and hashing one takes about 30 us, starting a process 0.3 s


def default_cache_folder() -> Path:
    """Return `$STAGEBENCH_CACHE` when set, else the user's cache folder for stagebench."""
    if chosen := os.environ.get("STAGEBENCH_CACHE"):
        return Path(chosen).expanduser()
    import platformdirs  # not needed in a worker process

    return platformdirs.user_cache_path("stagebench")


def cache_name(kind: str, **asked: object) -> str:
    """Return the tree's folder name: its kind, then a fingerprint of what was asked for."""
    key = json.dumps({**asked, "layout": _LAYOUT}, sort_keys=True)
    digest = hashlib.sha256(key.encode()).hexdigest()
    return f"{kind}-{digest[:16]}"


def prepared_tree(
    cache_folder: Path, name: str, build: Callable[[Path], None], progress: Progress
) -> Manifest:
    """Return the manifest of the tree `name`, built first if it is missing or damaged.

    Args:
        cache_folder: made if missing; holds the trees, and beside each its lock file.
        name: the tree's folder in it.
        build: fills the empty folder that it is given: the images and their manifest.
        progress: called often, with what is done, how much of it, and how much there is.

    Raises:
        DatasetError: the folder cannot be written, or what `build` raises.

    """
    tree = cache_folder / name

    def waiting() -> None:
        progress(f"waiting for another process that prepares {name}", 0, 1)

    try:
        with locked(_lock_of(cache_folder, name), waiting):
            manifest = _verified(tree, progress)
            if manifest is None:
                _remove_leftovers(cache_folder, name)
                manifest = _rebuilt(tree, build)
    except OSError as error:
        raise DatasetError(f"the data set cannot be stored in {tree}: {error}") from error
    return manifest


def checksums(root: Path, paths: list[str]) -> list[tuple[int, str]]:
    """Return size in bytes and SHA-256 (hexadecimal) of each file."""
    contents = ((root / path).read_bytes() for path in paths)
    return [(len(content), hashlib.sha256(content).hexdigest()) for content in contents]


def _rebuilt(tree: Path, build: Callable[[Path], None]) -> Manifest:
    staging, damaged = _hidden_sibling(tree), _hidden_sibling(tree)
    staging.mkdir()
    try:
        build(staging)
        if tree.exists():
            # A folder cannot replace one that has content, so the damaged tree steps aside first.
            tree.rename(damaged)
        staging.rename(tree)
    finally:
        _remove(staging)
        _remove(damaged)
    return Manifest.load(tree / MANIFEST_NAME)


def _verified(tree: Path, progress: Progress) -> Manifest | None:
    """Return the tree's manifest if every file is there, unchanged, and no other file is."""
    try:
        manifest = Manifest.load(tree / MANIFEST_NAME)
        images = manifest.train + manifest.test
        if fingerprint_of(manifest.train, manifest.test) != manifest.fingerprint:
            return None
        if _files_under(tree) != {MANIFEST_NAME, *(image.path for image in images)}:
            return None
        found = run_tasks(
            partial(checksums, tree),
            chunks([image.path for image in images], 500),
            processes=processes_for(len(images), _FILES_PER_PROCESS),
            what="verifying images",
            total=len(images),
            progress=progress,
        )
    except (DatasetError, OSError):
        return None
    return manifest if found == [(image.bytes, image.sha256) for image in images] else None


def _files_under(tree: Path) -> set[str]:
    return {
        Path(folder, name).relative_to(tree).as_posix()
        for folder, _, names in os.walk(tree)
        for name in names
    }


def _remove_leftovers(cache_folder: Path, own: str) -> None:
    """Remove what killed builds left. A build that is alive holds its tree's lock, so its folder stays."""
    for leftover in cache_folder.glob(f".*{_HIDDEN_SUFFIX}"):
        name = leftover.name.split(".")[1]
        with _lock_of(cache_folder, name).open("ab") as lock:
            if name == own or try_lock(lock):
                _remove(leftover)


def _lock_of(cache_folder: Path, name: str) -> Path:
    return cache_folder / f".{name}.lock"


def _hidden_sibling(tree: Path) -> Path:
    # A name of its own: processes of a killed build may write to theirs for a moment longer.
    return tree.with_name(f".{tree.name}.{secrets.token_hex(4)}{_HIDDEN_SUFFIX}")


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
