"""The class folders of a user's tree: its splits, classes and files, and what lies beside them."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from stagebench.datasets.errors import DatasetError
from stagebench.datasets.manifest import SPLITS
from stagebench.datasets.names import shown, sort_files, sort_names

_SPELLINGS: Mapping[str, Sequence[str]] = {
    "train": ("train", "training"),
    "test": ("test", "testing", "val", "valid", "validation"),
}
"""What the folder of a split may be called, in letters of either case; the first name wins."""
_OF_SYSTEMS = {
    "$recycle.bin",
    "#recycle",
    "@eadir",
    "@recycle",
    "__macosx",
    "lost+found",
    "system volume information",
}
"""Folders that file managers and network drives make by themselves, in lower case."""
_LAYOUT = "allowed are train/<class>/*.jpg and test/<class>/*.jpg"


@dataclass(frozen=True)
class ClassFolders:
    """What a tree holds, before any file is read."""

    classes: tuple[str, ...]
    """Names of the class folders; the position is the label."""
    splits: Mapping[str, str]
    """Of each split, the name of its folder."""
    files: Mapping[str, Sequence[tuple[str, int]]]
    """Of each split: path under the root, and label, of every file, class by class."""
    strays: tuple[str, ...]
    """What is wrong with each thing that is no class folder and no file of one."""


def find(root: Path) -> ClassFolders:
    """Return what a tree holds. Hidden files and folders (a leading dot) are passed over.

    Raises:
        DatasetError: a split is missing, or has other classes than the other one, or a class has no files.
        OSError: a folder cannot be listed.

    """
    strays: list[str] = []
    splits = {split: _split_folder(root, split) for split in SPLITS}
    found = {split: set(_class_names(root / folder, strays)) for split, folder in splits.items()}
    for split, other in (SPLITS, SPLITS[::-1]):
        if missing := sort_names(found[other] - found[split]):
            raise DatasetError(
                f"{shown(root / splits[split])} lacks the class {missing[0]!r} that {splits[other]}/ has;"
                " both need the same class folders"
            )
    classes = tuple(sort_names(found["train"]))
    if len(classes) == 1:
        raise DatasetError(f"{shown(root)} has one class; allowed are 2 or more")
    files = {
        split: [
            (f"{folder}/{name}/{file}", label)
            for label, name in enumerate(classes)
            for file in _file_names(root / folder / name, strays)
        ]
        for split, folder in splits.items()
    }
    return ClassFolders(classes, splits, files, tuple(strays))


def _split_folder(root: Path, split: str) -> str:
    """Return the name of the folder that holds a split."""
    folders = sort_names(entry.name for entry in _visible(root) if _is_folder(entry))
    named = _named(folders, split)
    if len(named) == 1:
        return named[0]
    if named:
        several = " and ".join(f"{shown(name)}/" for name in named)
        raise DatasetError(f"{shown(root)} has {several}; rename the one that is to be used to {split}/")
    others = ", ".join(f"{name}/" for name in _SPELLINGS[split][1:])
    raise DatasetError(f"{shown(root)} has no folder {split}/ (nor {others}); {_advice(root, folders)}")


def _named(folders: Sequence[str], split: str) -> Sequence[str]:
    """Return the folders that may be the split's; one of its very name leaves no choice."""
    if split in folders:
        return [split]
    own = [name for name in folders if name.lower() == split]
    return own or [name for name in folders if name.lower() in _SPELLINGS[split]]


def _has_splits(folder: Path) -> bool:
    try:
        folders = [entry.name for entry in _visible(folder) if _is_folder(entry)]
    except OSError:
        return False
    return all(_named(folders, split) for split in SPLITS)


def _advice(root: Path, folders: Sequence[str]) -> str:
    """Say what to do about a tree that lacks a split."""
    is_split = any(_named([root.name], split) for split in SPLITS)
    for near in (*[root.parent] * is_split, *(root / name for name in folders)):
        if _has_splits(near):
            return f"{shown(near)} has both splits: name that folder"
    if folders and not any(_named(folders, split) for split in SPLITS):
        return (
            f"if {shown(folders[0])}/ and the others are classes, move them into train/,"
            " and some images of each to test/<class>/"
        )
    return _LAYOUT


def _class_names(split: Path, strays: list[str]) -> list[str]:
    """Return the names of a split's class folders; what else there is goes to the strays."""
    names = []
    for entry in _visible(split):
        if not _is_folder(entry):
            strays.append(f"{shown(entry.path)} is not in a class folder")
        elif entry.name.lower() in _OF_SYSTEMS:
            strays.append(f"{shown(entry.path)} is a folder of the system, and no class")
        else:
            names.append(entry.name)
    if not names:
        raise DatasetError(f"{shown(split)} has no class folder; {_LAYOUT}")
    return names


def _file_names(folder: Path, strays: list[str]) -> list[str]:
    """Return the names of a class's files; folders go to the strays."""
    entries = _visible(folder)
    if not entries:
        raise DatasetError(f"{shown(folder)} is empty; every class needs an image")
    names = []
    for entry in entries:
        if _is_folder(entry):
            strays.append(f"{shown(entry.path)} is a folder in a class folder")
        else:
            names.append(entry.name)
    return sort_files(names)


def _visible(folder: Path) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        return sorted((e for e in entries if not e.name.startswith(".")), key=lambda entry: entry.name)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False
