"""What a user asks for."""

from dataclasses import dataclass


@dataclass(frozen=True)
class DatasetRequest:
    """The data set that is asked for; the counts and the seed apply to `synthetic` only."""

    source: str
    """`synthetic`, `cifar10:ARCHIVE`, `cifar100:ARCHIVE` (an official `tar.gz`), or the path of a folder."""

    train_images: int = 500
    """Images of the training split."""

    test_images: int = 400
    """Images of the test split."""

    classes: int = 100
    """Number of classes; every class needs an image in both splits."""

    image_size: int = 64
    """Side of the stored square JPEG in pixels (synthetic, cifar10 and cifar100)."""

    seed: int = 25
    """Seed of the pictures."""

    skip_bad_images: bool = False
    """Whether images of a folder that cannot be used are left out, instead of refused."""
