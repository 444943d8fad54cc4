"""The TFRecord shards of a build, of whatever number it has."""

import os
from pathlib import Path

from luigi_ilsvrc.datasets.arguments import DatasetError, paths_of_build, shorten
from luigi_ilsvrc.formats import tfrecord


def find_shards(data_dir: str | os.PathLike[str], split: str, folder: str = tfrecord.FOLDER) -> list[Path]:
    """Return the TFRecord shards of a split, in order, of whatever number the build has.

    Raises
    ------
    DatasetError
        If there is no such build, a shard is missing, or there are shards of several counts.
    """
    paths = paths_of_build(data_dir, split)
    records = paths.records(folder)
    try:
        names = {name for name in os.listdir(records) if tfrecord.is_shard_name(name) and name.startswith(f"{split}-")}
    except OSError as error:
        raise DatasetError(
            f"{records}: the shards cannot be read: {error.strerror}; give the folder of a build with "
            "--formats tfrecord that has ended"
        ) from error
    counts = sorted({int(name.rpartition("-")[2]) for name in names})
    if not counts:
        raise DatasetError(f"{records}: there are no {split} shards; run BuildAll with --formats tfrecord")
    if len(counts) > 1:
        raise DatasetError(
            f"{records}: there are {split} shards of several builds, with {', '.join(map(str, counts))} shards; "
            "delete those that are not wanted, or images are read twice"
        )
    [count] = counts
    expected = [tfrecord.shard_name(split, shard, count) for shard in range(count)]
    missing = [name for name in expected if name not in names]
    if missing:
        raise DatasetError(
            f"{records}: {len(missing)} of {count} {split} shards are missing: {shorten(missing)}; run BuildAll again "
            f"with --{split}-shards {count}"
        )
    return [records / name for name in expected]
