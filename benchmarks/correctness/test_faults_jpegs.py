"""JPEGs as encoders and accidents leave them: both frameworks read equal pixels, or the file is refused."""

from __future__ import annotations

import io
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import simplejpeg
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image as PillowImage

import gate
import jpegs
from jpeg_writer import EXTENDED, Component, Jpeg, Scan, written
from pair import Pair
from stagebench.datasets.image_file import checked_image
from stagebench.datasets.jpeg_structure import structure_fault
from trees import encoded, read, refusal, tree


def exif(orientation):
    tags = PillowImage.Exif()
    tags[0x0112] = orientation
    return tags


def without(marker, jpeg):
    """Return a JPEG without its segments of a kind."""
    parts = jpeg.split(marker)
    return parts[0] + b"".join(part[int.from_bytes(part[:2]) :] for part in parts[1:])


PLAIN = Jpeg(40, 33, tuple(Component(number, 1, 1, 0) for number in (1, 2, 3)), (Scan((0, 1, 2)),))
APART = replace(PLAIN, scans=tuple(Scan((place,)) for place in range(3)))
JPEGS = {
    "baseline": encoded(),
    "progressive": encoded(progressive=True),
    "every pixel in colour": encoded(subsampling="4:4:4"),
    "half of the columns in colour": encoded(subsampling="4:2:2", optimize=True),
    "greyscale": encoded("L"),
    "1x1": encoded(size=(1, 1)),
    "5x300": encoded(size=(5, 300)),
    "restart markers": encoded(restart_marker_blocks=1),
    "EXIF-rotated": encoded(exif=exif(6)),
    "RGB instead of YCbCr": encoded(keep_rgb=True),
    "colour profile and comment": encoded(icc_profile=b"profile", comment=b"comment"),
    "without Huffman tables, as in Motion JPEG": without(b"\xff\xc4", encoded()),
    "each colour in a scan of its own": written(APART),
    "quantization tables of 16 bits": written(replace(PLAIN, process=EXTENDED, tables=((300,) * 64,) * 2)),
    "bytes after its end": encoded() + encoded(size=(8, 8)),
    **{f"sampling {factors}": written(jpegs.drawn(9, [factors])) for factors in jpegs.USUAL},
}


@pytest.mark.fault(
    "JPEGs in greyscale, progressive, of one pixel, EXIF-rotated, of any usual sampling ...",
    "equal pixels in both frameworks",
)
def test_both_frameworks_read_the_same_pixels_of_every_kind_of_jpeg(both, tmp_path):
    manifest = read(tree(tmp_path / "data", {f"{name}.jpg": jpeg for name, jpeg in JPEGS.items()}))

    assert len(manifest.train) == 2 * len(JPEGS)
    gate.same_pixels(both, manifest, gate.ANY_JPEG)


# --- JPEGs that decoders take, and show differently


def ended_after(scans, jpeg):
    """Return a JPEG that ends properly after so many of its scans."""
    header, *parts = jpeg.removesuffix(b"\xff\xd9").split(b"\xff\xda")
    return b"\xff\xda".join([header, *parts[:scans]]) + b"\xff\xd9"


@pytest.mark.fault(
    "a progressive JPEG that ends properly before its last scans",
    "refused: decoders guess the rest differently",
)
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_progressive_jpeg_that_lacks_its_last_scans_is_refused(tmp_path, mode):
    whole = encoded(mode, progressive=True)
    scans = whole.count(b"\xff\xda")
    root = tree(tmp_path / "data", {f"{n}.jpg": ended_after(n, whole) for n in range(1, scans + 1)})

    manifest = read(root, skip_bad_images=True)

    assert {image.path.rpartition("/")[2] for image in manifest.train} == {f"{scans}.jpg"}
    assert len(manifest.left_out) == 4 * (scans - 1) > 4
    assert all(" is a damaged JPEG: it ends before its last scans" in wrong for wrong in manifest.left_out)


UNSOUND = {
    "colour without its scans": (
        replace(APART, scans=APART.scans[:1]),
        "is a damaged JPEG: it ends before",
    ),
    "a scan that comes twice": (replace(APART, scans=APART.scans * 2), "is a damaged JPEG: its scans do not"),
    "two components of one number": (
        replace(PLAIN, components=(*PLAIN.components[:2], PLAIN.components[1])),
        "is a damaged JPEG",
    ),
    "arithmetic coding": (
        replace(PLAIN, process=0xC9),
        "is a JPEG in arithmetic, lossless or hierarchical coding; allowed is Huffman coding",
    ),
}


@pytest.mark.fault("a JPEG of {fault}", "refused, or left out with `--skip-bad-images`")
@pytest.mark.parametrize("fault", UNSOUND)
def test_a_jpeg_that_not_every_decoder_takes_for_the_same_is_refused(tmp_path, fault):
    jpeg, message = UNSOUND[fault]
    root = tree(tmp_path / "data", {"0.jpg": encoded()})
    (root / "train/cat/bad.jpg").write_bytes(written(jpeg))

    assert f"{root}/train/cat/bad.jpg {message}" in refusal(root)


@pytest.mark.fault(
    "a JPEG of sampling factors that one decoder lacks", "refused, or left out with `--skip-bad-images`"
)
@pytest.mark.parametrize("factors", jpegs.ODD, ids=str)
def test_sampling_factors_that_not_every_decoder_takes_are_refused(factors):
    message = (
        "is a JPEG whose colours are sampled in an unusual way; allowed are 4:4:4, 4:2:2, 4:2:0, 4:4:0, 4:1:1"
    )

    assert structure_fault(written(jpegs.drawn(9, [factors]))) == message


@pytest.mark.parametrize("process", [0xC3, *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0)])
def test_no_process_is_accepted_but_those_that_every_decoder_has(process):
    message = "is a JPEG in arithmetic, lossless or hierarchical coding; allowed is Huffman coding"

    assert structure_fault(written(replace(PLAIN, process=process))) == message


SEEDS = st.integers(0, 2**64 - 1)


@given(SEEDS)
def test_a_sound_jpeg_of_any_structure_is_accepted_and_two_decoders_agree_on_its_pixels(seed):
    jpeg = written(jpegs.drawn(seed))

    assert structure_fault(jpeg) == ""
    picture = PillowImage.open(io.BytesIO(jpeg)).convert("RGB")
    assert np.array_equal(np.asarray(picture), simplejpeg.decode_jpeg(jpeg, strict=True))


@given(SEEDS, SEEDS)
def test_a_jpeg_that_lacks_any_scan_or_has_one_twice_is_refused(seed, other):
    jpeg, chance = jpegs.drawn(seed), random.Random(other)
    place = chance.randrange(len(jpeg.scans))
    scans = [
        scan
        for number, scan in enumerate(jpeg.scans)
        for _ in range(1 if number != place else chance.choice([0, 2]))
    ]

    assert structure_fault(written(replace(jpeg, scans=tuple(scans)))).startswith("is a damaged JPEG: ")


@given(SEEDS)
def test_any_disturbed_jpeg_is_an_image_or_a_sentence(tmp_path_factory, seed):
    folder = tmp_path_factory.getbasetemp()
    (folder / "mutant.jpg").write_bytes(jpegs.mutant(seed))

    found = checked_image(folder, "mutant.jpg", 0)

    assert not isinstance(found, str) or found.startswith(f"{folder}/mutant.jpg is ")


# --- many


def bytes_changed(jpeg: bytes, seed: int) -> bytes:
    """Return the file after one to four random edits."""
    chance = random.Random(seed)
    content = bytearray(jpeg)
    for _ in range(chance.choice([1, 1, 2, 4])):
        place = chance.randrange(chance.choice([700, len(content)])) % len(content)
        match chance.choice("bbbssid-"):
            case "b":
                content[place] ^= 1 << chance.randrange(8)
            case "s":
                content[place] = chance.randrange(256)
            case "i":
                content[place:place] = chance.randbytes(chance.randrange(1, 8))
            case "d":
                del content[place : place + chance.randrange(1, 20)]
            case _:
                del content[place:]
        content = content or bytearray(b"\xff")
    return bytes(content)


@pytest.mark.fault("a JPEG with any random damage", "both frameworks read equal pixels, or it is refused")
@pytest.mark.nightly("2,000 damaged files; the pull request has one of each damage")
@pytest.mark.parametrize("both", ["matched"], indirect=True)
def test_both_frameworks_accept_equal_pixels_of_a_mutated_jpeg_or_both_refuse(both, tmp_path_factory):
    whole = sorted(JPEGS.values())

    def mutant(seed):
        return bytes_changed(whole[seed % len(whole)], seed)

    try_many(both, tmp_path_factory.mktemp, mutant, 2000)


@pytest.mark.fault("a JPEG of any structure", "both frameworks read equal pixels, or it is refused")
@pytest.mark.nightly(
    "3,000 files; the pull request has one of each kind, and looks at the structure of others"
)
@pytest.mark.parametrize("both", ["matched"], indirect=True)
def test_both_frameworks_accept_equal_pixels_of_a_jpeg_of_any_structure_or_both_refuse(
    both, tmp_path_factory
):
    try_many(both, tmp_path_factory.mktemp, jpegs.mutant, 3000)


def try_many(
    pair: Pair, make_folder: Callable[[str], Path], mutant: Callable[[int], bytes], count: int
) -> None:
    """Let both frameworks read so many files, by each recipe, and say what has become of them."""
    outcomes, largest = Counter(), 0.0

    @settings(max_examples=count // 50, suppress_health_check=list(HealthCheck))
    @given(st.lists(SEEDS, min_size=50, max_size=50, unique=True))
    def try_50(seeds):
        nonlocal largest
        files = {f"{seed}.jpg": mutant(seed) for seed in seeds}
        root = tree(make_folder("mutants") / "data", {**files, "whole.jpg": JPEGS["baseline"]})
        manifest = read(root, skip_bad_images=True)
        outcomes["refused"] += len(manifest.left_out) // 4
        outcomes["accepted"] += len(manifest.train) // 2 - 1
        for recipe in ("matched", "tuned"):
            largest = max(largest, gate.same_pixels(replace(pair, recipe=recipe), manifest, gate.ANY_JPEG))

    try_50()
    told = f"{sum(outcomes.values())} mutants: {dict(outcomes)}, pixels {largest:.2g} apart"
    print(told)  # noqa: T201  # shown by -s and -rP
    assert sum(outcomes.values()) >= count
    assert min(outcomes.values()) > count // 10
