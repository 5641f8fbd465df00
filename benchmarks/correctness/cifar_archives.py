"""Archives of CIFAR as their author has made them, in small."""

from __future__ import annotations

import io
import pickle
import struct
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np


class Python2Pickler(pickle._Pickler):
    """Writes bytes as Python 2 wrote its `str`: as (SHORT_)BINSTRING."""

    def _save_bytes(self, text):
        short = len(text) < 256
        head = b"U" + bytes([len(text)]) if short else b"T" + struct.pack("<i", len(text))
        self.write(head + text)
        self.memoize(text)

    dispatch: ClassVar = {**pickle._Pickler.dispatch, bytes: _save_bytes}


def python2_pickle(value) -> bytes:
    file = io.BytesIO()
    Python2Pickler(file, protocol=2, fix_imports=True).dump(value)
    # numpy 2 names its parts numpy._core; the official archive is older than that.
    return file.getvalue().replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")


def python3_pickle(value) -> bytes:
    return pickle.dumps(value, protocol=2)


def batch(count: int, seed: int = 0) -> dict:
    labels = [(3, 20, 99)[i % 3] for i in range(count)]
    return {
        b"data": np.random.default_rng(seed).integers(0, 256, (count, 3072), dtype=np.uint8),
        b"fine_labels": labels,
        b"coarse_labels": [label // 5 for label in labels],
        b"filenames": [b"picture_%d.png" % i for i in range(count)],
        b"batch_label": b"training batch 1 of 1",
    }


def official_members(pickled=python2_pickle) -> dict[str, bytes]:
    return {
        "cifar-100-python/file.txt~": b"",
        "cifar-100-python/train": pickled(batch(60)),
        "cifar-100-python/test": pickled(batch(12, seed=1)),
        "cifar-100-python/meta": pickled({b"fine_label_names": [b"apple"] * 100}),
    }


TEN = {
    b"data": np.random.default_rng(2).integers(0, 256, (72, 3072), dtype=np.uint8),
    b"labels": [(3, 0, 9)[i % 3] for i in range(72)],
}
"""CIFAR-10: five batches of twelve training images, then twelve test images."""


def records(content: dict, *labels: bytes) -> bytes:
    """Return images as the binary archives hold them: labels, then pixels, one image after the other."""
    columns = [*(content[key] for key in labels), content[b"data"]]
    return b"".join(bytes(row[:-1]) + row[-1].tobytes() for row in zip(*columns, strict=True))


def batches_of_ten(folder: str, suffix: str, packed: Callable[[dict], bytes]) -> dict[str, bytes]:
    """Return the files with images of CIFAR-10, as its archive orders them."""
    names = [f"data_batch_{number}{suffix}" for number in range(1, 6)] + [f"test_batch{suffix}"]
    parts = [{key: values[start : start + 12] for key, values in TEN.items()} for start in range(0, 72, 12)]
    return {f"{folder}/{names[place]}": packed(parts[place]) for place in (3, 5, 2, 1, 4, 0)}


OTHERS = {
    "CIFAR-10": (
        "cifar10",
        {
            "cifar-10-batches-py/readme.html": b"<html>",
            **batches_of_ten("cifar-10-batches-py", "", python2_pickle),
            "cifar-10-batches-py/batches.meta": python2_pickle({b"label_names": [b"airplane"] * 10}),
        },
    ),
    "CIFAR-10, binary": (
        "cifar10",
        {
            "cifar-10-batches-bin/batches.meta.txt": b"airplane\n",
            "cifar-10-batches-bin/readme.html": b"<html>",
            **batches_of_ten("cifar-10-batches-bin", ".bin", lambda part: records(part, b"labels")),
        },
    ),
    "CIFAR-100, binary": (
        "cifar100",
        {
            "cifar-100-binary/fine_label_names.txt": b"apple\n",
            "cifar-100-binary/test.bin": records(batch(12, seed=1), b"coarse_labels", b"fine_labels"),
            "cifar-100-binary/train.bin": records(batch(60), b"coarse_labels", b"fine_labels"),
            "cifar-100-binary/coarse_label_names.txt": b"fruit\n",
        },
    ),
}
"""The official archives but CIFAR-100 in pickles: which data set each is of, and what it holds."""


def archive(path: Path, members: dict[str, bytes], extra: Sequence[tarfile.TarInfo] = ()) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        folder = tarfile.TarInfo(next(iter(members)).partition("/")[0])
        folder.type = tarfile.DIRTYPE
        for info in (folder, *extra):
            tar.addfile(info)
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path
