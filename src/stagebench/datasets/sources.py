"""From what a user asks for to the data set's manifest."""

from pathlib import Path

from stagebench.datasets.manifest import Manifest
from stagebench.datasets.parallel import Progress
from stagebench.datasets.request import DatasetRequest


def prepare(request: DatasetRequest, cache_folder: Path, progress: Progress) -> Manifest:
    """Return the manifest of a data set that is whole and readable, preparing it first where needed.

    Args:
        request: what is asked for.
        cache_folder: where prepared trees and manifests are kept; made if missing.
        progress: called often, with what is being done, how much of it is done, how much there is.

    Raises:
        DatasetError: the data set cannot be used; the message is one sentence with the path or value.

    """
    # 0.05 s, which a worker process is spared
    from stagebench.datasets import cifar, cifar_archive, folder, synthetic

    source = request.source
    if source == "synthetic":
        return synthetic.prepare(request, cache_folder, progress)
    kind, colon, _ = source.partition(":")
    if colon and kind in cifar_archive.KINDS:
        return cifar.prepare(request, cache_folder, progress)
    return folder.prepare(request, cache_folder, progress)
