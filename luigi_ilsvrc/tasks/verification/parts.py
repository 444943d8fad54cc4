"""The parts of a verification: one task for each output, which reads it again."""

import datetime
import json
import shlex
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import luigi

from luigi_ilsvrc.dataset.archives import ARCHIVES
from luigi_ilsvrc.dataset.splits import TRAIN, VALIDATION
from luigi_ilsvrc.findings import Finding, Kind, Report
from luigi_ilsvrc.formats.plan import plan_file, read_plan
from luigi_ilsvrc.formats.table import FORMATS
from luigi_ilsvrc.inventory import find_extra, output_folders
from luigi_ilsvrc.layouts.index import ImageLocation, index_file, read_whole_index
from luigi_ilsvrc.layouts.reader import ImageReader
from luigi_ilsvrc.progress import Progress
from luigi_ilsvrc.storage.manifest import Entry, ManifestError, matches_manifest, read_manifest
from luigi_ilsvrc.tasks.base import OutputTask
from luigi_ilsvrc.tasks.bounding_boxes import BoundingBoxCSV
from luigi_ilsvrc.tasks.downloads import DOWNLOADS
from luigi_ilsvrc.tasks.extraction import ExtractBoundingBoxes, ExtractTrainPerSynset, SortValidation
from luigi_ilsvrc.tasks.indexing import INDEX_TASKS, IndexTask
from luigi_ilsvrc.tasks.luigi_support.targets import AtomicTarget
from luigi_ilsvrc.tasks.parameters import ChoiceParameter, DateParameter, IntegerParameter, SynsetParameter, option
from luigi_ilsvrc.tasks.shards import FormatsTask, PlanShards, ShardTask, SplitTask, all_shards_of
from luigi_ilsvrc.verify import Recorded, same_images, verify_archive, verify_images, verify_output, verify_shard

COUNTS = ("files", "bytes", "records")
"""What each part counts."""

STARTED = str(time.time_ns())
"""Tells runs apart: what one run has read says nothing about what another is going to find."""


class Verified(NamedTuple):
    """The report of one output, and the task that makes it; None if no task does."""

    report: Report
    task: luigi.Task | None


class VerificationTask(OutputTask):
    """A task of the verification of one date."""

    has_manifest = False

    date = DateParameter(
        default=datetime.date.today(), description="the verification's name; a date that verified well is not repeated"
    )


class VerifyPart(VerificationTask):
    """Reads one output again and writes what it found; requires nothing, and succeeds whatever it found."""

    started = luigi.Parameter(default=STARTED, description="when the run began that this is a part of, in ns")

    @property
    def name(self) -> str:
        """Its name among the parts."""
        raise NotImplementedError

    def output(self) -> AtomicTarget:
        """Return the file of findings: removed when the build's verification is complete."""
        folder = self.paths.verification_parts(self.date.isoformat(), self.started)
        return AtomicTarget(folder / f"{self.name}.json")

    def verify(self, progress: Progress) -> list[Verified]:
        """Return what was read and found of each output."""
        raise NotImplementedError

    def make(self, path: Path, progress: Progress) -> None:
        """Verify, and write counts and findings."""
        verified = self.verify(progress)
        counts = {name: sum(getattr(report, name) for report, _ in verified) for name in COUNTS}
        findings = [_with_task(finding, task) for report, task in verified for finding in report.findings]
        path.write_text(json.dumps({**counts, "findings": [finding.to_json() for finding in findings]}))


def _with_task(finding: Finding, task: Any) -> Finding:
    """Add the task that makes the file, and what a repair removes so that the task makes it again.

    An output is not removed because of its manifest, without which it may be a user's own.
    """
    if task is None or finding.kind not in (Kind.DAMAGED, Kind.MISSING):
        return finding
    manifest = [Path(task.manifest().path)] if isinstance(task, OutputTask) and task.has_manifest else []
    to_remove = () if finding.path in manifest else (Path(task.output().path), *manifest)
    return replace(finding, made_by=command_line(task), to_remove=to_remove)


def command_line(task: Any) -> str:
    """Return a task's name and its significant parameters, as ``luigi --module luigi_ilsvrc`` takes them."""
    given = {
        name: parameter.serialize(getattr(task, name)) for name, parameter in task.get_params() if parameter.significant
    }
    options = [word for name, value in sorted(given.items(), reverse=True) for word in (option(name), value)]
    return shlex.join([task.task_family, *options])


def _manifest(task: OutputTask, may_be_users: bool) -> Path | None:
    """Return where the manifest must be; None if there is none because the output is a user's own."""
    manifest = Path(task.manifest().path)
    return None if may_be_users and not manifest.exists() else manifest


class VerifyArchive(VerifyPart):
    """Compares the MD5 sum of an archive, if it has not been deleted since."""

    archive = ChoiceParameter(
        choices=[archive.local_name for archive in ARCHIVES], description="its name below ilsvrc2012"
    )
    priority = 10

    @property
    def name(self) -> str:
        """The archive's name."""
        return self.archive

    def verify(self, progress: Progress) -> list[Verified]:
        """Read the archive."""
        download = next(self.clone(task) for task in DOWNLOADS if task.archive.local_name == self.archive)
        path = Path(download.output().path)
        report = Report()
        if path.exists():
            md5 = download.md5()
            report = verify_archive(path, md5, progress) if md5 else report
        elif download.quarantine_path.exists():
            report.add(Kind.MISSING, path, "a repair removed it, and it has not been downloaded again")
        return [Verified(report, download)]


class VerifySynset(VerifyPart):
    """Verifies the training images of one synset."""

    synset = SynsetParameter(description="such as n01440764")

    @property
    def name(self) -> str:
        """The synset."""
        return self.synset

    def verify(self, progress: Progress) -> list[Verified]:
        """Read and decode the images."""
        task = self.clone(ExtractTrainPerSynset, synset=self.synset)
        return [_verify_images(task, self.clone(INDEX_TASKS[TRAIN]), [self.synset], _name_in_synset, progress)]


class VerifyValidation(VerifyPart):
    """Verifies the validation images."""

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.paths.class_folders(VALIDATION).name

    def verify(self, progress: Progress) -> list[Verified]:
        """Read and decode the images."""
        task, index = self.clone(SortValidation), self.clone(INDEX_TASKS[VALIDATION])
        return [_verify_images(task, index, self.tables.synsets(), _name_in_split, progress)]


def _name_in_synset(image: ImageLocation) -> str:
    return image.name


def _name_in_split(image: ImageLocation) -> str:
    return f"{image.synset}/{image.name}"


def _verify_images(
    task: OutputTask,
    index: IndexTask,
    synsets: Sequence[str],
    name: Callable[[ImageLocation], str],
    progress: Progress,
) -> Verified:
    indexed = Path(index.output().path)
    sizes = None
    if matches_manifest(indexed, map(index_file, synsets), Path(index.manifest().path)):
        sizes = {name(image): image.size for image in read_whole_index(indexed, synsets)}
    output, manifest = Path(task.output().path), _manifest(task, may_be_users=not index.layout.IS_DOWNLOADED)
    # What is a user's is not ours to remove, and no task makes it while it is there.
    builder = None if manifest is None and output.exists() else task
    return Verified(verify_images(output, manifest, sizes, progress), builder)


class VerifyAnnotations(VerifyPart):
    """Verifies the extracted annotations."""

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.paths.annotations.name

    def verify(self, progress: Progress) -> list[Verified]:
        """Read the annotations."""
        task = self.clone(ExtractBoundingBoxes)
        manifest = _manifest(task, may_be_users=not task.layout.IS_DOWNLOADED)
        output = Path(task.output().path)
        builder = None if manifest is None and output.exists() else task
        return [Verified(verify_output(output, manifest, progress), builder)]


class VerifyShard(SplitTask, VerifyPart):
    """Verifies one shard."""

    format = ChoiceParameter(choices=FORMATS, description="the format that it is written in")
    shard = IntegerParameter(minimum=0, description="the number of the shard, from 0")

    @property
    def _task(self) -> ShardTask:
        return self.clone(all_shards_of(self.format).shard_task)

    @property
    def name(self) -> str:
        """The format and the shard's name."""
        return f"{self.format}-{Path(self._task.output().path).name}"

    def verify(self, progress: Progress) -> list[Verified]:
        """Read the records."""
        plan = self.clone(PlanShards)
        directory = Path(plan.output().path)
        planned = None
        if matches_manifest(directory, [plan_file(directory, self.shard).name], Path(plan.manifest().path)):
            planned = read_plan(directory, self.shard)
        shard = Path(self._task.output().path)
        with ImageReader(self.paths.dataset, self.paths.class_folders(self.split)) as reader:
            report = verify_shard(
                self._task.record_format(), shard, planned, reader, _recorded(self, self.split), progress
            )
        return [Verified(report, self._task)]


def _recorded(task: VerifyPart, split: str) -> Recorded:
    """Return what tells size and CRC-32 of an image as they were recorded when it was extracted."""

    @cache
    def entries(synset: str) -> dict[str, Entry]:
        extraction = task.clone(ExtractTrainPerSynset, synset=synset) if split == TRAIN else task.clone(SortValidation)
        try:
            return read_manifest(Path(extraction.manifest().path))
        except ManifestError as error:
            return error.intact or {}

    name = _name_in_synset if split == TRAIN else _name_in_split
    return lambda location: entries(location.synset).get(name(location))


class VerifyIndex(FormatsTask, VerifyPart):
    """Verifies index and plans, that they agree, the CSV, and that there is nothing else."""

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.paths.index_folder.name

    def verify(self, progress: Progress) -> list[Verified]:
        """Read index, plans and CSV."""
        index = {split: self._verified(self.clone(task), progress) for split, task in INDEX_TASKS.items()}
        found = [*index.values(), self._verified(self.clone(BoundingBoxCSV), progress)]
        for plan in self.plans():
            verified = self._verified(plan, progress)
            self._check_coverage(index[plan.split], verified, plan)
            found.append(verified)
        return [*found, self._extra()]

    def _verified(self, task: OutputTask, progress: Progress) -> Verified:
        return Verified(verify_output(Path(task.output().path), Path(task.manifest().path), progress), task)

    def _check_coverage(self, index: Verified, verified_plan: Verified, plan: PlanShards) -> None:
        if index.report.findings or verified_plan.report.findings:
            return
        indexed, planned = Path(self.clone(INDEX_TASKS[plan.split]).output().path), Path(plan.output().path)
        if not same_images(
            read_whole_index(indexed, self.tables.synsets()),
            (image.location for shard in range(plan.num_shards) for image in read_plan(planned, shard)),
        ):
            reason = "it does not hold each image of the index exactly once"
            verified_plan.report.add(Kind.DAMAGED, planned, reason)

    def _extra(self) -> Verified:
        folders = output_folders(self.paths, self.tables.synsets())
        return Verified(Report(findings=[finding for folder in folders for finding in find_extra(folder)]), None)
