"""The verification of what a build was begun with; and that there is nothing that it did not make."""

import os
from collections.abc import Iterator
from pathlib import Path

import luigi

from luigi_ilsvrc import cleanup
from luigi_ilsvrc.build_record import as_text, begun_boxes, digest_of, is_as_written, read_record
from luigi_ilsvrc.dataset.splits import SPLITS
from luigi_ilsvrc.findings import Finding, Kind, Report
from luigi_ilsvrc.inventory import find_extra, output_folders
from luigi_ilsvrc.progress import Progress
from luigi_ilsvrc.storage.kept import as_kept, kept_lines
from luigi_ilsvrc.storage.publish import replace_file
from luigi_ilsvrc.tasks.classes import LabelTableFiles
from luigi_ilsvrc.tasks.shards import NO_IMAGES, FormatsTask, begun_lines
from luigi_ilsvrc.tasks.verification.parts import Verified, VerifyPart, command_line


class VerifyBuildRecord(FormatsTask, VerifyPart):
    """Verifies what the build was begun with, and that there is nothing that it did not make."""

    @property
    def name(self) -> str:
        """The record's name."""
        return self.paths.build_record.name

    def verify(self, progress: Progress) -> Iterator[Verified]:
        """Read the record, and list the folders of the build."""
        report = Report(findings=list(self._record_findings()))
        for folder in output_folders(self.paths, self.tables.synsets(), self.shard_counts, self.selection):
            report.findings += find_extra(folder)
        for path in cleanup.abandoned_outputs(self.paths, self.leftover_seconds):
            report.add(Kind.LEFTOVER, path, "a process died while it made this")
        report.findings += [*self._boxes_findings(), *self._begun_findings()]
        for link in self.paths.linked_manifest_folders():
            report.findings.append(Finding(Kind.DAMAGED, link, "it is a link", to_remove=(link,)))
        yield Verified(report, None)

    def _record_findings(self) -> Iterator[Finding]:
        record = read_record(self.paths)
        if record is None:
            yield Finding(Kind.MISSING, self.paths.build_record, "the build was not begun", command_line(self.build()))
            return
        originals = (self.paths.build_record, self.paths.build_record_copy)
        for path, other in (originals, originals[::-1]):
            if not is_as_written(path) and is_as_written(other):
                yield Finding(Kind.DAMAGED, path, "it is not as it was written", substitute=other)
        for name, digest in record.tables.items():
            copy, given = self.paths.table(name, digest), self.table_paths[name]
            if not copy.exists() or digest_of(name, copy) != digest:
                substitute = given if digest_of(name, given) == digest else None
                yield Finding(Kind.DAMAGED, copy, f"it is not the table of SHA-256 {digest}", substitute=substitute)

    def _boxes_findings(self) -> Iterator[Finding]:
        """Yield a finding for each split of which it is not known any more whether its records have boxes."""
        for split in SPLITS if self.formats else ():
            path = self.paths.boxes_of_records(split)
            if begun_boxes(self.paths, split) is None:
                substitute = self.run_folder / path.name
                replace_file(substitute, as_text(self.csv_of_records(split) is not None).encode(), durable=False)
                kind = Kind.DAMAGED if path.exists() else Kind.MISSING
                yield Finding(kind, path, "it does not say whether the records have boxes", substitute=substitute)

    def _begun_findings(self) -> Iterator[Finding]:
        """Yield a finding for each file of which it is not known any more what subset or records were begun with."""
        begun: dict[Path, str] = {}
        if self.chosen is not None and (self.formats or self.images != NO_IMAGES):
            begun[self.subset_list] = self.chosen.serialize().decode()
        for shard in self.first_shards():
            if given := {**shard.begun_with(), **self.library_of_records(), **shard.library_of_shards()}:
                begun[shard.begun_path] = begun_lines(given)
        for path, lines in begun.items():
            if kept_lines(path) is None:
                substitute = self.run_folder / "begun" / path.name
                replace_file(substitute, as_kept(lines), durable=False)
                kind = Kind.DAMAGED if os.path.lexists(path) else Kind.MISSING
                yield Finding(kind, path, "it does not say what was begun", substitute=substitute)

    def build(self) -> luigi.Task:
        """Return the task that begins a build."""
        return self.clone(LabelTableFiles)
