"""The verification of index, boxes, tables, plans and shards."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import luigi

from luigi_ilsvrc.dataset.archives import IMAGE_ARCHIVES
from luigi_ilsvrc.dataset.boxes import write_csv
from luigi_ilsvrc.dataset.splits import TRAIN, VALIDATION
from luigi_ilsvrc.findings import Kind, Report
from luigi_ilsvrc.formats.details import serialize_records
from luigi_ilsvrc.formats.plan import plan_file, write_plan
from luigi_ilsvrc.formats.table import FORMATS
from luigi_ilsvrc.layouts import class_folders, official
from luigi_ilsvrc.layouts.index import write_index
from luigi_ilsvrc.layouts.reader import ImageReader
from luigi_ilsvrc.layouts.table import Layout
from luigi_ilsvrc.layouts.tar import ArchiveError
from luigi_ilsvrc.progress import Progress
from luigi_ilsvrc.storage.digests import md5_of_file
from luigi_ilsvrc.storage.manifest import (
    Files,
    ManifestError,
    check_as_written,
    entry_of,
    entry_of_file,
    read_files,
    read_manifest,
)
from luigi_ilsvrc.storage.publish import new_file, new_folder
from luigi_ilsvrc.tasks.base import ILSVRCTask
from luigi_ilsvrc.tasks.bounding_boxes import BoundingBoxCSV, ValidationBoxCSV
from luigi_ilsvrc.tasks.classes import ClassTable, LabelTableFiles
from luigi_ilsvrc.tasks.downloads import DownloadBoundingBoxes, DownloadTask
from luigi_ilsvrc.tasks.extraction import AnnotationTask, ExtractBoundingBoxes
from luigi_ilsvrc.tasks.indexing import INDEX_TASKS
from luigi_ilsvrc.tasks.outputs import DataSetTask
from luigi_ilsvrc.tasks.parameters import ChoiceParameter, IntegerParameter, split_parameter
from luigi_ilsvrc.tasks.selection import RecordsTask
from luigi_ilsvrc.tasks.shards import PlanShards, ShardTask, SplitTask, all_shards_of
from luigi_ilsvrc.tasks.verification.images import SUSPECT, VerifyArchive, image_entries, is_suspect, reference_index
from luigi_ilsvrc.tasks.verification.parts import FOREIGN, Verified, VerifyPart
from luigi_ilsvrc.verify.plans import read_expected, same_plan, write_entries
from luigi_ilsvrc.verify.shards import Smaller, verify_shard


class VerifyIndex(VerifyPart):
    """Verifies the index of one split: by the archive, by the class folders, or by its manifest."""

    split = split_parameter()

    @property
    def name(self) -> str:
        """The split."""
        return f"index-{self.split}"

    def requires(self) -> list[luigi.Task]:
        """Require that the archive was read, if this run does."""
        archive = IMAGE_ARCHIVES[self.split].local_name
        return [self.clone(VerifyArchive, archive=archive)] if self.is_selected(archive) else []

    def verify(self, progress: Progress) -> Iterator[Verified]:
        """Read the index, and compare it with the archive; of class folders it says how they were when it was made."""
        task = self.clone(INDEX_TASKS[self.split])
        if not task.layout.IS_DOWNLOADED and not _is_intact(Path(task.manifest().path)):
            with new_folder(reference_index(self, self.split)) as folder:
                locations = task.layout.find_images(self.paths, self.split, self.tables, progress)
                write_index(locations, self.tables.synsets(), folder)
        reference = reference_index(self, self.split)
        yield self.verify_output(task, read_files(reference) if reference.exists() else None, progress)


def _is_intact(manifest: Path) -> bool:
    try:
        read_manifest(manifest)
    except ManifestError:
        return False
    return True


class VerifyBoxes(VerifyPart):
    """Verifies annotations and boxes of training images: the CSV is computed anew."""

    @property
    def name(self) -> str:
        """The CSV's name."""
        return self.paths.bounding_boxes.name

    def verify(self, progress: Progress) -> Iterator[Verified]:
        """Read the annotations in archive and folder, and the CSV."""
        archive = has_whole_archive(self.clone(DownloadBoundingBoxes))
        task = self.clone(ExtractBoundingBoxes)
        expected = self._archive_entries() if archive else None
        known = (self.paths.archive_record, self.paths.archive, self.paths.quarantine)
        is_users = not any(path(DownloadBoundingBoxes.archive).exists() for path in known)
        # A damaged archive is going to be downloaded again.
        comes_again = not archive and any(path(DownloadBoundingBoxes.archive).exists() for path in known[1:])
        annotations = self.verify_output(task, expected, progress, is_users=is_users, can_be_made=comes_again)
        yield annotations
        csv = self.clone(BoundingBoxCSV)
        details: str | None = None
        if archive or not annotations.report.findings:
            details = compute_csv(self, csv, official if archive else class_folders, progress)
        yield verify_csv(self, csv, details, progress)

    def _archive_entries(self) -> Files:
        return {
            f"{annotation.synset}/{annotation.image}.xml": entry_of(annotation.xml)
            for annotation in official.read_annotations(self.paths, TRAIN, self.tables)
        }


class VerifyValidationBoxes(VerifyPart):
    """Verifies the boxes of validation images: the CSV is computed anew if the annotations are still there."""

    @property
    def name(self) -> str:
        """The CSV's name."""
        return self.paths.validation_bounding_boxes.name

    def verify(self, progress: Progress) -> Iterator[Verified]:
        """Read the annotations and the CSV."""
        csv = self.clone(ValidationBoxCSV)
        layout, details = csv.layout, None
        if layout.has_annotations(self.paths, VALIDATION) and (
            not layout.IS_DOWNLOADED or has_whole_archive(self.clone(csv.download))
        ):
            details = compute_csv(self, csv, layout, progress)
        yield verify_csv(self, csv, details, progress)


def has_whole_archive(download: DownloadTask) -> bool:
    """Tell whether an archive is there and has the MD5 sum that it has to have."""
    path, md5 = Path(download.output().path), download.md5()
    return path.exists() and (md5 is None or md5_of_file(path) == md5.lower())


def compute_csv(part: VerifyPart, csv: AnnotationTask, layout: Layout, progress: Progress) -> str:
    """Write a CSV of boxes anew, from the annotations in a layout; return its details."""
    path, synsets = part.computed(csv), part.tables.synsets()
    source = layout.annotations_path(part.paths, csv.split)
    with new_file(path) as new:
        return write_csv(layout.read_annotations(part.paths, csv.split, part.tables), synsets, source, new, progress)


def verify_csv(part: VerifyPart, csv: AnnotationTask, details: str | None, progress: Progress) -> Verified:
    """Compare a CSV of boxes and its details with those that were computed anew; `details` is None if none were."""
    verified = part.verify_output(csv, None if details is None else read_files(part.computed(csv)), progress)
    if all(finding.substitute for finding in verified.report.findings):
        verified.report.findings += part.details_findings(csv, details)
    return verified


class VerifyTables(VerifyPart):
    """Verifies the table of classes and the label tables: they are made anew."""

    @property
    def name(self) -> str:
        """The name of the table of classes."""
        return self.paths.classes.name

    def verify(self, progress: Progress) -> Iterator[Verified]:
        """Make the tables again, and compare them."""
        yield self.verify_output(self.clone(ClassTable), self._classes(progress), progress)
        tables = self.clone(LabelTableFiles)
        with new_folder(self.computed(tables)) as folder:
            tables.make(folder, progress)
        yield self.verify_output(tables, read_files(self.computed(tables)), progress)

    def _classes(self, progress: Progress) -> Files | None:
        task = self.clone(ClassTable)
        try:
            with new_file(self.computed(task)) as path:
                task.make(path, progress)
        except (ArchiveError, OSError):
            # The index is damaged, which its own part finds.
            return None
        return read_files(self.computed(task))


def boxes_parts(part: ILSVRCTask, csvs: Iterable[AnnotationTask | None]) -> list[VerifyPart]:
    """Return the parts that verify CSVs of boxes."""
    parts: dict[str, type[VerifyPart]] = {TRAIN: VerifyBoxes, VALIDATION: VerifyValidationBoxes}
    return [part.clone(parts[csv.split]) for csv in csvs if csv is not None]


class VerifyPlan(SplitTask, VerifyPart):
    """Verifies the plan of one split: it is computed anew."""

    @property
    def name(self) -> str:
        """The plan's name."""
        return f"plan-{self.split}{self.name_of_subset and f'-{self.name_of_subset}'}"

    def requires(self) -> list[luigi.Task]:
        """Require that index and boxes were verified."""
        return [self.clone(VerifyIndex), *boxes_parts(self, [self.csv_of_records(self.split)])]

    def verify(self, progress: Progress) -> Iterator[Verified]:
        """Compute the plan, write it for the parts that verify shards, and compare it."""
        task = self.clone(PlanShards)
        index = self._verified(reference_index(self, self.split), self.clone(INDEX_TASKS[self.split]))
        boxes = self.csv_of_records(self.split)
        csv = None if boxes is None else self._verified(self.computed(boxes), boxes)
        expected = None
        if index is not None and (boxes is None or csv is not None):
            self._compute(index, csv, progress)
            expected = self._expected(task)
        verified = self.verify_output(task, expected, progress)
        if expected is not None and verified.report.findings:
            # So the manifests of shards are compared with the plan that is going to be made.
            self.computed(task).parent.mkdir(parents=True, exist_ok=True)
            reference_plan(self, task).rename(self.computed(task))
        yield verified

    def _verified(self, reference: Path, task: DataSetTask) -> Path | None:
        """Return what was computed anew, or else the output if it is as it was written."""
        if reference.exists():
            return reference
        output = Path(task.output().path)
        files, _, other = self.read_manifest(task)
        if files is None or other:
            return None
        try:
            check_as_written(output, list(files), Path(task.manifest().path))
        except ManifestError:
            return None
        return output

    def _compute(self, index: Path, csv: Path | None, progress: Progress) -> None:
        @cache
        def entries(synset: str) -> Files:
            return image_entries(self, self.split, synset)

        with new_folder(reference_plan(self, self.clone(PlanShards))) as folder:
            takes = self.takes(self.split)
            write_plan(index, self.tables.class_names(), csv, self.num_shards, folder, progress, takes)
            write_entries(
                *(index, self.tables.class_names(), self.num_shards),
                lambda location: entries(location.synset).get(location.name),
                folder,
                takes,
            )

    def _expected(self, task: PlanShards) -> Files:
        """Return the entries of the plan that was computed; or of the one that is there, if it only names other places.

        That is so if it was made from an archive that was deleted since, or from class folders.
        """
        reference, output = reference_plan(self, task), Path(task.output().path)
        expected = {plan_file(shard): entry_of_file(reference / plan_file(shard)) for shard in range(self.num_shards)}
        try:
            written = check_as_written(output, list(expected), Path(task.manifest().path))
        except ManifestError:
            return expected
        is_same = all(same_plan(reference, output, shard) for shard in range(self.num_shards))
        return written if is_same else expected


def reference_plan(part: VerifyPart, task: PlanShards) -> Path:
    """Return where the plan of a split lies that was computed anew."""
    computed = part.computed(task)
    return computed if computed.exists() else part.run_folder / "plan" / task.split


class VerifyShard(RecordsTask, SplitTask, VerifyPart):
    """Verifies one shard."""

    format = ChoiceParameter(choices=FORMATS, description="the format that it is written in")
    shard = IntegerParameter(minimum=0, description="the number of the shard, from 0")
    counted_as = "shards"

    def requires(self) -> list[luigi.Task]:
        """Require that the plan was computed."""
        return [self.clone(VerifyPlan)]

    @property
    def _task(self) -> ShardTask:
        return self.clone(all_shards_of(self.format).shard_task)

    @property
    def name(self) -> str:
        """The format and the shard's name."""
        return f"{self.format}{self.selection}-{Path(self._task.output().path).name}"

    def verify(self, progress: Progress) -> Iterator[Verified]:
        """Read the records."""
        task, report = self._task, Report()
        shard = Path(task.output().path)
        plan = reference_plan(self, self.clone(PlanShards))
        smaller = Smaller(self.resizing, is_same_library=task.has_same_library())
        expected = read_expected(plan, self.shard) if plan.exists() else None
        with ImageReader(self.paths.dataset, self.paths.class_folders(self.split)) as reader:
            found = verify_shard(task.record_format(), shard, expected, reader.read, report, progress, smaller)
        if not report.findings and is_suspect(self, self.split):
            report.add(Kind.DAMAGED, shard, SUSPECT)
        if report.findings and self._has_changed_source(task):
            changed = [replace(it, reason=f"{_CHANGED_SOURCE}: {it.reason}") for it in report.findings]
            yield Verified(replace(report, findings=changed), None)
            return
        if found is None and not report.findings:
            verified = self.verify_output(task, None, progress)
            if not verified.report.findings:
                verified.report.findings += self.details_findings(task, None)
            yield verified
            return
        written, problem, other = self.read_manifest(task)
        if found is not None and not report.findings:
            files = {"": found.entry}
            if written is not None and not other and written != files and not found.is_exact:
                report.add(Kind.DAMAGED, shard, "its bytes are not those that were written (CRC-32)")
            elif problem or written != files:
                # Another plan alone is no fault: it may say the same, of images that lay elsewhere.
                report.findings.append(self.manifest_finding(task, problem or FOREIGN, files))
            if all(finding.substitute for finding in report.findings):
                report.findings += self.details_findings(task, serialize_records(found.records))
        elif problem:
            report.findings.append(self.manifest_finding(task, problem, None))
        yield Verified(report, task)

    def _has_changed_source(self, task: ShardTask) -> bool:
        """Tell whether the shard is as it was written, of images in folders that nobody else has checksums of."""
        if self.clone(INDEX_TASKS[self.split]).layout.IS_DOWNLOADED:
            return False
        try:
            task.checked_digest()
        except (ManifestError, OSError):
            return False
        return True


_CHANGED_SOURCE = "it is as it was written, so it is the folder of images that has changed since"
