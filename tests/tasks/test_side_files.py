"""What is made beside shards: it is never about other shards than those that are there."""

from pathlib import Path

import pytest

from luigi_ilsvrc.tasks.shards import ShardTask
from luigi_ilsvrc.tasks.side_files import SideFilesTask, tasks_of_formats

pytestmark = pytest.mark.slow


def index_and_shard(data_dir: Path, ilsvrc: Path) -> tuple[SideFilesTask, ShardTask]:
    of_split = {"data_dir": data_dir, "source": str(ilsvrc), "split": "train", "num_shards": 8}
    tasks = tasks_of_formats()
    index, shard = tasks["TFRecordIndex"](**of_split), tasks["TFRecordShard"](**of_split, shard=3)
    assert isinstance(index, SideFilesTask)
    assert isinstance(shard, ShardTask)
    return index, shard


def test_the_index_is_made_again_after_a_shard_was(data_dir: Path, ilsvrc: Path) -> None:
    index, shard = index_and_shard(data_dir, ilsvrc)
    Path(shard.output().path).unlink()
    shard.run()
    assert not index.complete()


def test_the_index_stays_if_another_build_has_made_shard_and_index_meanwhile(data_dir: Path, ilsvrc: Path) -> None:
    index, shard = index_and_shard(data_dir, ilsvrc)
    path = Path(shard.output().path)
    contents = path.read_bytes()
    path.unlink()

    def make_all_meanwhile(stage: str, done: int, total: int | None, unit: str) -> None:
        if not path.exists():
            path.write_bytes(contents)
            index.run()

    shard.publish(lambda temporary: shard.make(temporary, make_all_meanwhile))
    assert index.complete()
