"""What a build will need of the disk: bytes and inodes."""

import os
from collections.abc import Collection
from pathlib import Path

from luigi_ilsvrc.dataset.archives import IMAGE_ARCHIVES
from luigi_ilsvrc.dataset.splits import SPLITS, TRAIN, VALIDATION
from luigi_ilsvrc.dataset.subsets import ALL
from luigi_ilsvrc.layouts.counts import ANNOTATIONS, IMAGES
from luigi_ilsvrc.tasks.extraction import ExtractBoundingBoxes, SortValidation
from luigi_ilsvrc.tasks.indexing import INDEX_TASKS
from luigi_ilsvrc.tasks.report import WholeBuild
from luigi_ilsvrc.tasks.shards import NO_IMAGES, AllShards, FormatsTask
from luigi_ilsvrc.tasks.subset_images import SubsetImages


def bytes_needed(build: WholeBuild) -> dict[Path, int]:
    """Return how many bytes the missing outputs of a build will take at least, by where they go.

    Extracted images take what their archive takes, and so do the shards of each format; of a subset, what the index
    says, if it is there. What is made for speed (index, plans) or is small (annotations, 3 GB at the most) is left out,
    and so are images that are made smaller, and an archive whose size only its server knows: a build that would fit is
    never stopped.
    """
    needs: dict[Path, int] = {}
    for split in SPLITS:
        index = build.clone(INDEX_TASKS[split])
        download = build.clone(index.download)
        size = _size_of_images(build, split)
        shares = {_class_folders(build, split): _share_of_folders(build, split)}
        for shards in build.all_shards():
            folder = build.paths.records(shards.shard_task.record_format().FOLDER + build.selection)
            shares[folder / split] = _share_of_shards(shards, split, folder)
        is_made = {
            path: share for path, share in shares.items() if path.parent == build.paths.dataset or not build.resizing
        }
        needs |= {path: int(share * size) for path, share in is_made.items()}
        is_read = any(shares.values()) and not index.has_images()
        if is_read or download.quarantine_path.exists():
            needs[Path(download.output().path)] = download.size_to_come()
    return needs


def _size_of_images(build: WholeBuild, split: str) -> int:
    """Return how many bytes the images that are taken have at least, as far as that is known: else 0."""
    index = build.clone(INDEX_TASKS[split])
    if build.takes_all(split):
        size = build.clone(index.download).size() if index.layout.IS_DOWNLOADED else _size_in_folders(build, split)
        return size or 0
    return sum(image.size for image in build.images_taken(split)) if index.complete() else 0


def _size_in_folders(build: FormatsTask, split: str) -> int | None:
    """Return about how many bytes images in folders have, if they are those of ILSVRC2012; None if they are others."""
    return IMAGE_ARCHIVES[split].size if build.has_official_counts() else None


def inodes_needed(build: WholeBuild) -> dict[Path, int]:
    """Return how many files the missing outputs of a build will be at least, by where they go.

    Those of ILSVRC2012 itself, if its tables are used; of other data, and of synsets of it, no number is known before
    it is indexed.
    """
    if not build.has_official_counts():
        return {}
    needs = {
        _class_folders(build, split): int(_share_of_folders(build, split) * _number_of_images(build, split))
        for split in SPLITS
    }
    annotations = build.clone(ExtractBoundingBoxes)
    if build.bounding_boxes and annotations.layout.IS_DOWNLOADED and not annotations.complete():
        needs[build.paths.annotations] = ANNOTATIONS[TRAIN]
    return needs


def _number_of_images(build: WholeBuild, split: str) -> int:
    if build.takes_all(split):
        return IMAGES[split]
    return 0 if build.chosen is None else len(build.chosen.images)


def _class_folders(build: FormatsTask, split: str) -> Path:
    if build.subset == ALL:
        return build.paths.class_folders(split)
    return build.paths.subset_folders(build.name_of_subset, split)


def _share_of_folders(build: FormatsTask, split: str) -> float:
    """Return which share of the class folders is to be extracted."""
    if build.images == NO_IMAGES or not build.clone(INDEX_TASKS[split]).layout.IS_DOWNLOADED:
        return 0.0
    if build.subset != ALL:
        # Links, if the class folders of the whole data set are there.
        is_there = build.clone(SubsetImages, split=split).complete() or build.paths.class_folders(split).exists()
        return 0.0 if is_there else 1.0
    if split == VALIDATION:
        return 0.0 if build.clone(SortValidation).complete() else 1.0
    return _missing_share(build.tables.synsets(), build.paths.class_folders(split))


def _share_of_shards(shards: AllShards, split: str, folder: Path) -> float:
    names = [os.path.basename(shard.output().path) for shard in shards.requires() if shard.split == split]
    return _missing_share(names, folder)


def _missing_share(names: Collection[str], folder: Path) -> float:
    present = set(os.listdir(folder)) if folder.is_dir() else set()
    return len(set(names) - present) / len(names)
