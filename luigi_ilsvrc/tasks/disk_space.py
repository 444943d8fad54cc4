"""What a build will need of the disk: bytes and inodes."""

import os
from collections.abc import Collection
from pathlib import Path

from luigi_ilsvrc.dataset.archives import IMAGE_ARCHIVES
from luigi_ilsvrc.dataset.splits import SPLITS, TRAIN, VALIDATION
from luigi_ilsvrc.layouts.counts import ANNOTATIONS, IMAGES
from luigi_ilsvrc.tasks.extraction import ExtractBoundingBoxes, SortValidation
from luigi_ilsvrc.tasks.indexing import INDEX_TASKS
from luigi_ilsvrc.tasks.shards import NO_IMAGES, AllShards, FormatsTask


def bytes_needed(build: FormatsTask) -> dict[Path, int]:
    """Return how many bytes the missing outputs of a build will take at least, by where they go.

    Extracted images take what their archive takes, and so do the shards of each format. What is made for speed (index,
    plans) or is small (annotations, 3 GB at the most) is left out, and so is an archive whose size only its server
    knows: a build that would fit is never stopped.
    """
    needs: dict[Path, int] = {}
    for split in SPLITS:
        index = build.clone(INDEX_TASKS[split])
        download = build.clone(index.download)
        size = (download.size() if index.layout.IS_DOWNLOADED else _size_in_folders(build, split)) or 0
        shares = {build.paths.class_folders(split): _share_of_folders(build, split)}
        for shards in build.all_shards():
            folder = build.paths.records(shards.shard_task.record_format().FOLDER)
            shares[folder / split] = _share_of_shards(shards, split, folder)
        needs |= {path: int(share * size) for path, share in shares.items()}
        is_read = any(shares.values()) and not index.has_images()
        if is_read or download.quarantine_path.exists():
            needs[Path(download.output().path)] = download.size_to_come()
    return needs


def _size_in_folders(build: FormatsTask, split: str) -> int | None:
    """Return about how many bytes images in folders have, if they are those of ILSVRC2012; None if they are others."""
    return IMAGE_ARCHIVES[split].size if build.has_official_counts() else None


def inodes_needed(build: FormatsTask) -> dict[Path, int]:
    """Return how many files the missing outputs of a build will be at least, by where they go.

    Those of ILSVRC2012 itself, if its tables are used; of other data, no number is known before it is indexed.
    """
    if not build.has_official_counts():
        return {}
    needs = {
        build.paths.class_folders(split): int(_share_of_folders(build, split) * images)
        for split, images in IMAGES.items()
    }
    annotations = build.clone(ExtractBoundingBoxes)
    if build.bounding_boxes and annotations.layout.IS_DOWNLOADED and not annotations.complete():
        needs[build.paths.annotations] = ANNOTATIONS[TRAIN]
    return needs


def _share_of_folders(build: FormatsTask, split: str) -> float:
    """Return which share of the class folders is to be extracted."""
    if build.images == NO_IMAGES or not build.clone(INDEX_TASKS[split]).layout.IS_DOWNLOADED:
        return 0.0
    if split == VALIDATION:
        return 0.0 if build.clone(SortValidation).complete() else 1.0
    return _missing_share(build.tables.synsets(), build.paths.class_folders(split))


def _share_of_shards(shards: AllShards, split: str, folder: Path) -> float:
    names = [os.path.basename(shard.output().path) for shard in shards.requires() if shard.split == split]
    return _missing_share(names, folder)


def _missing_share(names: Collection[str], folder: Path) -> float:
    present = set(os.listdir(folder)) if folder.is_dir() else set()
    return len(set(names) - present) / len(names)
