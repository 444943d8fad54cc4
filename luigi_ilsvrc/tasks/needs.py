"""What a build will need of the disk."""

import os
from collections.abc import Collection
from pathlib import Path

from luigi_ilsvrc.tasks.extraction import SortValidation, TrainImages
from luigi_ilsvrc.tasks.image_index import INDEX_TASKS, TRAIN, VALIDATION, IndexTask
from luigi_ilsvrc.tasks.tfrecords import ShardCounts, TFRecords


def bytes_needed(build: ShardCounts, shards: bool) -> dict[Path, int]:
    """Return how many bytes the missing outputs of a build will take at least, by where they go.

    Extracted images take what their archive takes, and so do the shards. What is made for speed (index, plans) or is
    small (annotations, 3 GB at the most) is left out, and so is an archive whose size is known to its server alone: a
    build that would fit is never stopped.
    """
    needs: dict[Path, int] = {}
    for split in (TRAIN, VALIDATION):
        index = build.clone(INDEX_TASKS[split])
        folders = _share_of_folders(build, index)
        records = _share_of_shards(build, split) if shards else 0.0
        download = build.clone(index.download)
        size = download.size() or 0
        needs[index.folders] = int(folders * size)
        needs[build.dataset / "tfrecords" / split] = int(records * size)
        if download.set_aside.exists() or ((folders or records) and not index.has_images()):
            needs[index.archive] = download.size_to_come()
    return needs


def _share_of_folders(build: ShardCounts, index: IndexTask) -> float:
    if index.split == VALIDATION:
        return 0.0 if build.clone(SortValidation).complete() else 1.0
    return _missing_share([synset.synset for synset in build.clone(TrainImages).requires()], index.folders)


def _share_of_shards(build: ShardCounts, split: str) -> float:
    names = [
        os.path.basename(shard.output().path) for shard in build.clone(TFRecords).requires() if shard.split == split
    ]
    return _missing_share(names, build.dataset / "tfrecords")


def _missing_share(names: Collection[str], folder: Path) -> float:
    present = set(os.listdir(folder)) if folder.is_dir() else set()
    return len(set(names) - present) / len(names)
