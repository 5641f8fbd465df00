"""A user's own tree of class folders, checked image by image and never written to."""

from collections.abc import Sequence
from pathlib import Path

from stagebench.datasets import class_folders
from stagebench.datasets.cache import cache_name
from stagebench.datasets.checked import check
from stagebench.datasets.cifar_archive import KINDS
from stagebench.datasets.errors import DatasetError
from stagebench.datasets.manifest import SPLITS, Image, Manifest, common_size, fingerprint_of
from stagebench.datasets.names import listed, shown
from stagebench.datasets.parallel import Progress
from stagebench.datasets.request import DatasetRequest


def prepare(request: DatasetRequest, cache_folder: Path, progress: Progress) -> Manifest:
    """Return the manifest of the user's tree; it is stored in the cache folder.

    Every file of a class folder must be a JPEG that decodes; with `skip_bad_images`, those that do not are
    left out, and so is what lies beside the class folders. The manifest says which.

    Raises:
        DatasetError: the tree is not laid out as allowed, a file is not a whole JPEG, or a class has none.

    """
    root = Path(request.source).expanduser().absolute()
    if not request.source or not root.is_dir():
        archives = ", ".join(f"{kind}:ARCHIVE" for kind in KINDS)
        raise DatasetError(
            f"the data set {request.source!r} is no folder;"
            f" allowed are synthetic, {archives} and the path of a folder"
        )
    try:
        folders = class_folders.find(root)
    except OSError as error:
        where = shown(error.filename or root)
        raise DatasetError(f"{where} cannot be listed: {error.strerror}") from error
    _refuse(request, root, folders.strays)
    everything = [file for split in SPLITS for file in folders.files[split]]
    checked = check(root, everything, cache_folder, progress)
    bad = tuple(found for found in checked if isinstance(found, str))
    _refuse(request, root, bad)
    count = len(folders.files["train"])
    train, test = (
        tuple(image for image in part if isinstance(image, Image))
        for part in (checked[:count], checked[count:])
    )
    for split, images in zip(SPLITS, (train, test), strict=True):
        _check_classes(root, folders, split, images)
    fingerprint = fingerprint_of(train, test)
    # Named by content too: a session that still reads the manifest of an earlier content keeps its file.
    file = cache_folder / f"{cache_name('folder', root=str(root), content=fingerprint)}.json"
    size = common_size(train + test)
    manifest = Manifest(root, folders.classes, train, test, fingerprint, file, folders.strays + bad, size)
    try:
        manifest.save()
    except OSError as error:
        raise DatasetError(
            f"the manifest of {shown(root)} cannot be stored in {shown(file)}: {error.strerror}"
        ) from error
    return manifest


def _refuse(request: DatasetRequest, root: Path, bad: Sequence[str]) -> None:
    """Raise an error about what cannot be used, unless it is to be left out."""
    if bad and not request.skip_bad_images:
        advice = "--skip-bad-images leaves such files out, for all frameworks alike"
        raise DatasetError(f"{listed(bad, f'files of {shown(root)} cannot be used')}; {advice}")


def _check_classes(
    root: Path, folders: class_folders.ClassFolders, split: str, images: Sequence[Image]
) -> None:
    left = {image.label for image in images}
    for label, name in enumerate(folders.classes):
        if label not in left:
            folder = shown(root / folders.splits[split] / name)
            raise DatasetError(f"{folder} holds no image that can be used; every class needs one")
