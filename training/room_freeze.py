"""Freeze a version of a dataset, and tell later whether it is still what it was."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from preprocessing.errors import UnsupportedImage
from preprocessing.recipes import Recipe
from training.cases import ImageFiles, ManifestRefused
from training.datasets import Dataset, Entry
from training.manifest import HEAD, manifest_sha256, read_manifest, write_manifest
from training.public_sets import read_public


def with_hashes(dataset: Dataset) -> Dataset:
    """Return the dataset with every image's hash and its own.

    Raises:
        ManifestRefused: An image is missing, or differs from the hash that its manifest states.
    """
    entries = []
    with ImageFiles() as files:
        for entry in dataset.entries:
            digest = hashlib.sha256(files.content(entry.case)).hexdigest()
            if entry.sha256 not in (None, digest):
                raise ManifestRefused(_changed(entry))
            entries.append(replace(entry, sha256=digest))
    hashed = replace(dataset, entries=tuple(entries))
    return replace(hashed, sha256=manifest_sha256(hashed))


def freeze(dataset: Dataset, folder: Path, recipe: Recipe, show: Callable[[str], None]) -> Dataset:
    """Write a version of a dataset that `problems` can hold to its word. No image is copied.

    Every image is read once as serving would; a film that the recipe refuses stays in the manifest as left out, with
    the reason.

    Args:
        dataset: From manifests, public sets or both, under the name and version that it shall have.
        folder: Where the manifest goes; must not hold one yet, since a version is never written over.
        recipe: What a film must pass.
        show: Is told of every film that is left out.

    Raises:
        ManifestRefused: The folder holds a manifest; an image is missing, damaged or changed.
    """
    if (folder / HEAD).exists():
        raise ManifestRefused(f"{folder} holds a manifest already; a new version needs a new folder")
    with ImageFiles() as files:
        entries = tuple(_tried(entry, files, recipe) for entry in dataset.entries)
    for was, now in zip(dataset.entries, entries, strict=True):
        if was.left_out != now.left_out:
            show(f"left out: {now.case.data_set}: {now.case.file_name}: {now.left_out}")
    frozen = with_hashes(replace(dataset, entries=entries))
    write_manifest(frozen, folder)
    return frozen


def problems(folder: Path) -> list[str]:
    """Return what is wrong with a frozen version, one sentence each: empty when it is what it was."""
    try:
        dataset = read_manifest(folder)
    except ManifestRefused as refused:
        return [str(refused)]
    if dataset.sha256 is None:
        return ["the manifest is not frozen: it has no hash"]
    found = []
    if any(entry.sha256 is None for entry in dataset.entries) or manifest_sha256(dataset) != dataset.sha256:
        found.append("the manifest changed since it was frozen")
    with ImageFiles() as files:
        for entry in dataset.entries:
            try:
                if hashlib.sha256(files.content(entry.case)).hexdigest() != entry.sha256:
                    found.append(_changed(entry))
            except ManifestRefused as refused:
                found.append(str(refused))
    return found


def open_frozen(folder: Path) -> Dataset:
    """Return a frozen version that is what it was.

    Raises:
        ManifestRefused: It is not; with the first reason and how many there are.
    """
    if found := problems(folder):
        raise ManifestRefused(f"{found[0]} ({len(found)} problems in {folder})")
    return read_manifest(folder)


def open_dataset(frozen: Path | None, shared_data: Path) -> Dataset:
    """Return what training and evaluation work on: a frozen version, or the public default sets as they lie there now.

    Raises:
        ManifestRefused: As `open_frozen` and `public_sets.read_public`.
    """
    return open_frozen(frozen) if frozen is not None else with_hashes(read_public(shared_data))


def _tried(entry: Entry, files: ImageFiles, recipe: Recipe) -> Entry:
    if entry.left_out is None:
        try:
            files.prepared(entry.case, recipe)
        except UnsupportedImage as unsupported:
            return replace(entry, left_out=f"the recipe refuses it: {unsupported.reason.value}")
    return entry


def _changed(entry: Entry) -> str:
    return f"{entry.case.data_set}: {entry.case.file_name} is no longer the file that was hashed"
