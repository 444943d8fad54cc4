"""The files that readers want beside the shards of a format: one task for those of a split, or of all."""

import functools
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import luigi

from luigi_ilsvrc.formats.details import parse_records
from luigi_ilsvrc.formats.plan import read_plan
from luigi_ilsvrc.formats.side_files import SideFiles, WrittenShard, each_shard
from luigi_ilsvrc.formats.table import FORMATS
from luigi_ilsvrc.layouts.index import damaged
from luigi_ilsvrc.progress import Progress
from luigi_ilsvrc.storage import disk
from luigi_ilsvrc.storage.details import read_details
from luigi_ilsvrc.storage.manifest import (
    Files,
    Manifest,
    ManifestError,
    entry_of,
    read_manifest,
    read_size,
    serialize_manifest,
)
from luigi_ilsvrc.storage.publish import replace_file
from luigi_ilsvrc.tasks.base import BuildTask
from luigi_ilsvrc.tasks.luigi_support.targets import AtomicTarget
from luigi_ilsvrc.tasks.luigi_support.task_progress import TaskProgress
from luigi_ilsvrc.tasks.parameters import IntegerParameter, split_parameter
from luigi_ilsvrc.tasks.selection import RecordsTask
from luigi_ilsvrc.tasks.shards import FormatsTask, PlanShards, ShardCounts, ShardTask, all_shards_of, subclass

_WORK = "describing"


class SideFilesTask(RecordsTask, BuildTask):
    """Makes files of one kind beside the shards of a format, when these are there."""

    format_name: ClassVar[str]
    side_files: ClassVar[SideFiles]
    priority = 30

    @property
    def counts(self) -> dict[str, int]:
        """How many shards each split has that the files are about."""
        raise NotImplementedError

    def requires(self) -> list[luigi.Task]:
        """Require the shards."""
        return [shard for shards in self.shards().values() for shard in shards]

    def shards(self) -> dict[str, list[ShardTask]]:
        """Return the tasks of the shards of each split, in order."""
        shard_task = all_shards_of(self.format_name).shard_task
        return {
            split: [
                self.clone(shard_task, split=split, num_shards=num_shards, shard=shard) for shard in range(num_shards)
            ]
            for split, num_shards in self.counts.items()
        }

    @property
    def folder(self) -> Path:
        """The folder of the files."""
        return self.paths.records(self.side_files.folder + self.selection)

    def manifest_path(self) -> Path:
        """Return where it is written down what the files hold and were made from."""
        split = next(iter(self.counts)) if self.side_files.is_by_split else ""
        return self.paths.side_manifest(self.folder.name, self.side_files.task, split)

    def output(self) -> list[AtomicTarget]:
        """Return the files."""
        return [AtomicTarget(self.folder / name) for name in self.side_files.names(self.counts)]

    def size_reader(self) -> Callable[[], int]:
        """Return what tells the size of the files, by what was written down of them."""
        return functools.partial(read_size, self.manifest_path())

    def complete(self) -> bool:
        """Tell whether the files are there, whole, and about the shards that are there."""
        try:
            manifest = read_manifest(self.manifest_path())
            return (
                manifest.inputs == self._made_from()
                and set(manifest.files) == set(self.side_files.names(self.counts))
                and all(os.path.getsize(self.folder / name) == entry.size for name, entry in manifest.files.items())
                and set(os.listdir(self._records)).issuperset(self._shard_names())
            )
        except (ManifestError, OSError):
            return False

    @property
    def _records(self) -> Path:
        return self.paths.records(FORMATS[self.format_name].FOLDER + self.selection)

    def _shard_names(self) -> list[str]:
        shard_name = FORMATS[self.format_name].shard_name
        return [shard_name(*shard) for shard in each_shard(self.counts)]

    def _made_from(self) -> dict[str, str]:
        """Return the digests of the plans. Raises `ManifestError`."""
        plans = [
            self.clone(PlanShards, split=split, num_shards=num_shards) for split, num_shards in self.counts.items()
        ]
        return {plan.relative_output(): read_manifest(Path(plan.manifest().path)).digest for plan in plans}

    def run(self) -> None:
        """Make the files, in place of older ones."""
        self.begin_build()
        try:
            made_from, files = self._made_from(), {}
            for name, contents in self.contents(TaskProgress(self)):
                files[name] = entry_of(contents)
                if not _holds(self.folder / name, contents):
                    replace_file(self.folder / name, contents)
            replace_file(self.manifest_path(), self.serialized_manifest(files, made_from))
        except OSError as error:
            raise disk.explain_os_error(error, self.folder) from error

    def serialized_manifest(self, files: Files, made_from: Mapping[str, str]) -> bytes:
        """Return the manifest as its file holds it."""
        return serialize_manifest(Manifest(files, dict(made_from), str(self.folder.relative_to(self.data_dir))))

    def contents(self, progress: Progress) -> Iterator[tuple[str, bytes]]:
        """Yield name and contents of each file, by plans and details of the shards; progress counts shards.

        Raises
        ------
        ManifestError, DamagedFileError, ArchiveError
            If something that was written down of the shards is missing or damaged; it says what to do.
        """
        total, done = sum(self.counts.values()), 0

        def described(shards: Iterable[ShardTask]) -> Iterator[WrittenShard]:
            nonlocal done
            for shard in shards:
                yield _written(shard)
                done += 1
                progress(_WORK, done, total, "shards")

        yield from self.side_files.write({split: described(shards) for split, shards in self.shards().items()})


def _holds(path: Path, contents: bytes) -> bool:
    try:
        return path.read_bytes() == contents
    except OSError:
        return False


def _written(shard: ShardTask) -> WrittenShard:
    details = Path(shard.details().path)
    try:
        records = parse_records(read_details(details))
    except (ValueError, TypeError) as error:
        raise damaged(details, error) from error
    plan = Path(shard.clone(PlanShards).output().path)
    size = os.path.getsize(shard.output().path)
    return WrittenShard(Path(shard.output().path).name, size, records, lambda: read_plan(plan, shard.shard))


class SplitSideFiles(SideFilesTask):
    """The files beside the shards of one split."""

    split = split_parameter()
    num_shards = IntegerParameter(minimum=1, description="how many shards the split has")

    @property
    def counts(self) -> dict[str, int]:
        """How many shards the split has."""
        return {self.split: self.num_shards}


class AllSideFiles(SideFilesTask, ShardCounts):
    """The files beside the shards of all splits."""

    def requires(self) -> list[luigi.Task]:
        """Require all shards, by the one task of them: the graph stays small."""
        return [self.clone(all_shards_of(self.format_name))]

    @property
    def counts(self) -> dict[str, int]:
        """How many shards each split has."""
        return self.shard_counts


@cache
def side_files_tasks(format_name: str) -> tuple[type[SideFilesTask], ...]:
    """Return the tasks of what is made beside the shards of a format, made here from its table entry."""
    return tuple(
        subclass(
            SplitSideFiles if item.is_by_split else AllSideFiles,
            *(item.task, item.about),
            format_name=format_name,
            side_files=item,
            module=__name__,
        )
        for item in FORMATS[format_name].SIDE_FILES
    )


def all_side_files(task: FormatsTask) -> list[SideFilesTask]:
    """Return the tasks of what is made beside the shards of a build, in each of its formats."""
    found: list[Any] = []
    for kind in (kind for name in task.formats for kind in side_files_tasks(name)):
        splits = task.shard_counts.items() if kind.side_files.is_by_split else [None]
        found += [task.clone(kind, **({} if it is None else {"split": it[0], "num_shards": it[1]})) for it in splits]
    return found


def tasks_of_formats() -> dict[str, type[luigi.Task]]:
    """Return the tasks of all formats of the table, by name: of one shard, of all, and of what is beside them."""
    shards = [all_shards_of(name) for name in FORMATS]
    beside = [task for name in FORMATS for task in side_files_tasks(name)]
    return {task.__name__: task for task in [*shards, *(it.shard_task for it in shards), *beside]}
