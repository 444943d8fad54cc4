"""The verification of what is made beside shards: it is made anew, by what was written down of them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import luigi

from luigi_ilsvrc.errors import BuildError
from luigi_ilsvrc.findings import Finding, Kind, Report
from luigi_ilsvrc.formats.table import FORMATS
from luigi_ilsvrc.progress import Progress
from luigi_ilsvrc.storage.manifest import Files, ManifestError, entry_of, entry_of_file, read_manifest
from luigi_ilsvrc.tasks.parameters import ChoiceParameter
from luigi_ilsvrc.tasks.selection import RecordsTask
from luigi_ilsvrc.tasks.shards import FormatsTask, ShardCounts
from luigi_ilsvrc.tasks.side_files import SideFilesTask, side_files_tasks
from luigi_ilsvrc.tasks.verification.parts import Verified, VerifyPart, command_line
from luigi_ilsvrc.tasks.verification.records import VerifyShard


class VerifySideFiles(ShardCounts, RecordsTask, VerifyPart):
    """Verifies what is made beside the shards of a format."""

    format = ChoiceParameter(choices=FORMATS, description="the format of the shards")

    @property
    def name(self) -> str:
        """The format."""
        return f"beside-{self.format}{self.selection}"

    def requires(self) -> list[luigi.Task]:
        """Require that the shards were verified which this run verifies."""
        shards = [
            self.clone(VerifyShard, format=self.format, split=split, num_shards=num_shards, shard=shard)
            for split, num_shards in self.shard_counts.items()
            for shard in range(num_shards)
        ]
        return [shard for shard in shards if self.is_selected(shard.name)]

    def verify(self, progress: Progress) -> Iterator[Verified]:
        """Make the files anew, and compare them."""
        for kind in side_files_tasks(self.format):
            splits = self.shard_counts.items() if kind.side_files.is_by_split else [(None, None)]
            for split, num_shards in splits:
                chosen: dict[str, Any] = {} if split is None else {"split": split, "num_shards": num_shards}
                yield self._verify_task(self.clone(kind, **chosen), progress)

    def _verify_task(self, task: SideFilesTask, progress: Progress) -> Verified:
        report = Report()
        written = _written(task)
        try:
            expected = {name: entry_of(contents) for name, contents in task.contents(progress)}
        except (BuildError, OSError):
            # What is missing of the shards, or of what was written down of them, is found where these are verified.
            expected = written or {}
        for name, entry in expected.items():
            report.files += 1
            path = task.folder / name
            try:
                found = entry_of_file(path)
            except FileNotFoundError:
                report.findings.append(_finding(task, Kind.MISSING, path, "there is no such output"))
                continue
            report.bytes += found.size
            if found != entry:
                report.findings.append(_finding(task, Kind.DAMAGED, path, "it does not say what the shards hold"))
        if not report.findings and written != expected:
            kind = Kind.DAMAGED if task.manifest_path().exists() else Kind.MISSING
            reason = f"it does not say what lies in {task.folder}"
            report.findings.append(_finding(task, kind, task.manifest_path(), reason))
        return Verified(report, None)


def _written(task: SideFilesTask) -> Files | None:
    try:
        return read_manifest(task.manifest_path()).files
    except ManifestError:
        return None


def _finding(task: SideFilesTask, kind: Kind, path: Path, reason: str) -> Finding:
    return Finding(kind, path, reason, command_line(task), to_remove=tuple({path, task.manifest_path()}))


def side_files_parts(build: FormatsTask) -> list[VerifyPart]:
    """Return the parts that verify what is made beside the shards of a build."""
    return [build.clone(VerifySideFiles, format=name) for name in build.formats if side_files_tasks(name)]
