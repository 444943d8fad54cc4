"""The verification of a whole build."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import luigi

from luigi_ilsvrc import cleanup
from luigi_ilsvrc.dataset.images import load_pillow
from luigi_ilsvrc.dataset.splits import SPLITS
from luigi_ilsvrc.dataset.subsets import ALL
from luigi_ilsvrc.errors import BuildError
from luigi_ilsvrc.findings import Finding
from luigi_ilsvrc.progress import Progress
from luigi_ilsvrc.repair import repair
from luigi_ilsvrc.storage.publish import replace_file
from luigi_ilsvrc.tasks.downloads import DOWNLOADS
from luigi_ilsvrc.tasks.luigi_support.targets import AtomicTarget
from luigi_ilsvrc.tasks.luigi_support.task_progress import TaskProgress
from luigi_ilsvrc.tasks.parameters import RECORDED, SwitchParameter
from luigi_ilsvrc.tasks.report import BuildReport
from luigi_ilsvrc.tasks.shards import NO_IMAGES, FormatsTask
from luigi_ilsvrc.tasks.verification.build_record import VerifyBuildRecord
from luigi_ilsvrc.tasks.verification.images import VerifyArchive, VerifySynset, VerifyValidation
from luigi_ilsvrc.tasks.verification.parts import COUNTS, STARTED, WHOLE, VerificationTask, VerifyPart
from luigi_ilsvrc.tasks.verification.records import (
    VerifyIndex,
    VerifyPlan,
    VerifyShard,
    VerifyTables,
    boxes_parts,
)
from luigi_ilsvrc.tasks.verification.side_files import side_files_parts
from luigi_ilsvrc.tasks.verification.subset_images import VerifySubsetImages
from luigi_ilsvrc.units import format_size

_MAX_SHOWN = 1000
"""Findings that the error names; the file beside the verifications names them all."""


class VerificationError(BuildError):
    """A build is not as it was made."""


class VerifyBuild(FormatsTask, VerificationTask):
    """Reads a finished build again, and names what is damaged, missing or extra; builds and downloads nothing.

    Its output is written if all is well. Else it fails, and a later run for the same date verifies all afresh.
    """

    # Both tell one run from another of the same day: the scheduler keeps the values with which a task was scheduled.
    started = luigi.Parameter(default=STARTED, description="the process that began it")
    repair = SwitchParameter(
        default=False,
        description="true removes damaged outputs, so that the next BuildAll makes just those again",
    )

    def requires(self) -> list[VerifyPart]:
        """Require a part for each output that BuildAll makes; if only a part of the build is verified, for some."""
        # Before the worker forks a process for each part: once, and not 2,157 times.
        load_pillow()
        return [part for part in self._parts() if self.is_selected(part.name)]

    def _parts(self) -> list[VerifyPart]:
        shards = [shard for task in self.all_shards() for shard in task.requires()]
        return [
            *(self.clone(VerifyArchive, archive=download.archive.local_name) for download in DOWNLOADS),
            *(self.clone(VerifyIndex, split=split) for split in SPLITS),
            *map(self.clone, (VerifyTables, VerifyBuildRecord)),
            *boxes_parts(self, self.csvs()),
            *self._image_parts(),
            *(self.clone(VerifyPlan, split=plan.split, num_shards=plan.num_shards) for plan in self.plans()),
            *(
                self.clone(VerifyShard, format=it.format_name, split=it.split, num_shards=it.num_shards, shard=it.shard)
                for it in shards
            ),
            *side_files_parts(self),
        ]

    def _image_parts(self) -> list[VerifyPart]:
        if self.images == NO_IMAGES:
            return []
        if self.subset != ALL:
            return [self.clone(VerifySubsetImages, split=split) for split in SPLITS]
        synsets = (self.clone(VerifySynset, synset=synset) for synset in self.tables.synsets())
        return [self.clone(VerifyValidation), *synsets]

    def output(self) -> AtomicTarget:
        """Return what was verified: counts of files, bytes and records."""
        return AtomicTarget(self.paths.verification(self._result_name))

    @property
    def _result_name(self) -> str:
        # Its parts need not know the selection, and so have no part in it.
        return f"{self.verification_name}{self.selection}"

    def make(self, path: Path, progress: Progress) -> None:
        """Put the parts together.

        Raises
        ------
        VerificationError
            Naming what is damaged, missing or extra.
        """
        parts = [json.loads(Path(part.path).read_text()) for part in self.input()]
        findings = [Finding.from_json(finding) for part in parts for finding in part["findings"]]
        findings_file = self.paths.findings(self._result_name)
        if findings:
            replace_file(findings_file, "".join(f"{finding}\n" for finding in findings).encode())
            advice = self._repair(findings) if self.repair else "run it with --repair true, then BuildAll, to fix this"
            self._remove_parts()
            raise VerificationError(_describe(findings, self.data_dir, findings_file, advice))
        counts = {name: sum(part[name] for part in parts) for name in COUNTS}
        path.write_text(json.dumps({**self._scope(), **counts}, indent=2) + "\n")
        findings_file.unlink(missing_ok=True)
        self._remove_parts()

    def _scope_of_records(self) -> dict[str, Any]:
        selected = {"selection": self.selection} if self.selection else {}
        return {**selected, **self.subset_digest(), **self.size_of_records()}

    def _repair(self, findings: Sequence[Finding]) -> str:
        done = repair(findings, self.paths)
        cleanup.remove_abandoned(self.paths, self.leftover_seconds)
        return str(done)

    def _scope(self) -> dict[str, Any]:
        return {
            "date": self.date.isoformat(),
            "part": self.part,
            "images": self.images,
            "formats": list(self.formats),
            **self._scope_of_records(),
            **({"shards": self.shard_counts} if self.formats else {}),
        }

    def complete(self) -> bool:
        """Tell whether the date's verification is of as much as this one would be.

        Raises a `BuildRecordError` if other tables or checksums are given than the build was begun with.
        """
        if self.source != RECORDED:
            self.compare_with_record()
            self.check_subset()
            for plan in self.plans():
                # Refuses other boxes than those that the records were begun with.
                plan.complete()
            for shard in self.first_shards():
                # Or another size or quality.
                shard.compare_with_begun(shard.begun_with())
            if self.formats:
                # Smaller images are made again, to be compared.
                self.library_of_records()
        try:
            verified = json.loads(Path(self.output().path).read_text())
        except (FileNotFoundError, IsADirectoryError, ValueError):
            return False
        return isinstance(verified, dict) and self._scope().items() <= verified.items()

    def result(self) -> str:
        """Return how much was verified. Raises OSError."""
        verified = json.loads(Path(self.output().path).read_text())
        what = self.data_dir if self.part == WHOLE else f"part {self.part} of {self.data_dir}"
        counts = f"{verified['files']:,} files, {format_size(verified['bytes'])}, {verified['records']:,} records"
        return f"{what} is as it was made: {counts}"

    def run(self) -> None:
        """Verify, in place of a verification of less or something else; the report then shows what was found."""
        if not self.complete():
            Path(self.output().path).unlink(missing_ok=True)
        report = self.clone(BuildReport)
        try:
            super().run()
        except VerificationError:
            report.renew(TaskProgress(self))
            raise
        report.renew(TaskProgress(self))

    def _remove_parts(self) -> None:
        """Remove the parts of this run, and of others that were killed; not those of one that is at work."""
        own = self.paths.verification_run(self.verification_name, self.started)
        if own.exists():
            shutil.rmtree(own)
        cleanup.remove_abandoned_verifications(self.paths, self.leftover_seconds)


def _describe(findings: Sequence[Finding], data_dir: Path, findings_file: Path, advice: str) -> str:
    lines = list(map(str, findings[:_MAX_SHOWN]))
    if len(findings) > _MAX_SHOWN:
        lines.append(f"and {len(findings) - _MAX_SHOWN} more")
    return (
        f"{data_dir}: the build is not as it was made: {len(findings)} findings, also in {findings_file}; {advice}"
        + "".join(f"\n  {line}" for line in lines)
    )
