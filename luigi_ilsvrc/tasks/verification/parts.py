"""What all parts of a verification share: one task for each output, which reads it again."""

import datetime
import json
import os
import shlex
import zlib
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import luigi

from luigi_ilsvrc.build_record import read_record
from luigi_ilsvrc.dataset.paths import DataSetPaths
from luigi_ilsvrc.errors import BuildError
from luigi_ilsvrc.findings import Finding, Kind, Report
from luigi_ilsvrc.progress import Progress
from luigi_ilsvrc.storage.details import read_details, write_details
from luigi_ilsvrc.storage.manifest import (
    Files,
    Manifest,
    ManifestError,
    entry_of_file,
    read_manifest,
    serialize_manifest,
)
from luigi_ilsvrc.storage.publish import replace_file
from luigi_ilsvrc.storage.temporary import new_owner
from luigi_ilsvrc.storage.trailer import DamagedFileError
from luigi_ilsvrc.tasks.base import folder_of
from luigi_ilsvrc.tasks.downloads import DOWNLOADS
from luigi_ilsvrc.tasks.luigi_support.targets import AtomicTarget
from luigi_ilsvrc.tasks.outputs import DataSetTask, OutputTask
from luigi_ilsvrc.tasks.parameters import DateParameter, PartParameter, option
from luigi_ilsvrc.verify.files import Examine, examine_nothing, verify_files

COUNTS = ("files", "bytes", "records")
"""What each part counts."""

STARTED = new_owner()
"""Tells runs apart: what one run has read says nothing about what another is going to find."""

WHOLE = "1/1"

FOREIGN = "it is that of something else"


class Verified(NamedTuple):
    """The report of one output, and the task that makes it; None if no task does."""

    report: Report
    task: luigi.Task | None


class ReadManifest(NamedTuple):
    """What a manifest says: the entries of the files; else, why there are none; and an input that is another one."""

    files: Files | None
    problem: str
    other_input: str


class VerificationTask(OutputTask):
    """A task of the verification of one date, of the whole build or a part of it."""

    date = DateParameter(
        default=datetime.date.today(), description="the verification's name; a date that verified well is not repeated"
    )
    part = PartParameter(
        default=WHOLE, description="3/7 verifies a seventh of the build, and 1/7 to 7/7 together the whole"
    )

    @property
    def source_folder(self) -> Path | None:
        """The source, if it is a folder; without one, that of the build's record."""
        record = read_record(DataSetPaths(self.data_dir))
        return super().source_folder or (folder_of(record.source) if record else None)

    @property
    def verification_name(self) -> str:
        """The name of the files of the verification."""
        part = "" if self.part == WHOLE else f"-part-{self.part.replace('/', '-of-')}"
        return f"{self.date.isoformat()}{part}"

    def is_selected(self, name: str) -> bool:
        """Tell whether an output, by its name among the parts, is verified in this part of the verification."""
        part, parts = map(int, self.part.split("/"))
        return zlib.crc32(name.encode()) % parts == part - 1


class VerifyPart(VerificationTask):
    """Reads one output again and writes what it found; succeeds whatever it found."""

    started = luigi.Parameter(default=STARTED, description="the process that began the run that this is a part of")

    @property
    def name(self) -> str:
        """Its name among the parts."""
        raise NotImplementedError

    @property
    def run_folder(self) -> Path:
        """The folder of what this run of the verification reads and computes: removed when it is complete."""
        return self.paths.verification_run(self.verification_name, self.started)

    def output(self) -> AtomicTarget:
        """Return the file of findings."""
        return AtomicTarget(self.run_folder / "findings" / f"{self.name}.json")

    def verify(self, progress: Progress) -> Iterable[Verified]:
        """Yield what was read and found of each output."""
        raise NotImplementedError

    def make_output(self, progress: Progress) -> None:
        """Verify, and write counts and findings; an error is one of them, and hides no others.

        They need not be on the disk: no other run reads them.
        """
        verified: list[Verified] = []
        try:
            verified.extend(self.verify(progress))
        except (BuildError, OSError) as error:
            failed = Report(findings=[Finding(Kind.UNREADABLE, self.paths.dataset, f"{self.name}: {error}")])
            verified.append(Verified(failed, None))
        counts = {name: sum(getattr(report, name) for report, _ in verified) for name in COUNTS}
        findings = [_with_task(finding, task) for report, task in verified for finding in report.findings]
        found = json.dumps({**counts, "findings": [finding.to_json() for finding in findings]})
        replace_file(Path(self.output().path), found.encode(), durable=False)

    def verify_output(
        self,
        task: DataSetTask,
        expected: Files | None,
        progress: Progress,
        *,
        examine: Examine = examine_nothing,
        is_users: bool = False,
        can_be_made: bool = True,
    ) -> Verified:
        """Compare an output with what it has to hold, and its manifest with that.

        Parameters
        ----------
        task : DataSetTask
            Makes the output.
        expected : dict or None
            The entries of its files, by what it is made from; None if that is gone, and the manifest has to decide.
        progress : Progress
            Counts files.
        examine : callable
            Looks at the contents of each file.
        is_users : bool
            Whether the output may be a user's own, and have no manifest.
        can_be_made : bool
            Whether the output is to be made again if neither its source nor its manifest says what it has to hold; if
            not, what is there is taken for right.
        """
        report, output, manifest = Report(), Path(task.output().path), Path(task.manifest().path)
        if not output.exists():
            report.add(Kind.MISSING, output, "there is no such output")
            return Verified(report, task)
        written, problem, other = self.read_manifest(task)
        is_own = is_users and not manifest.exists()
        known = expected if expected is not None else written
        found = verify_files(output, known, examine, report, progress)
        if expected is None and other:
            report.add(Kind.DAMAGED, output, f"it was made from another {other}")
        made = {output / name for name in written or ()}
        report.findings = [
            _as_of_another_build(finding) if finding.path in made else finding for finding in report.findings
        ]
        if known is None and not is_own and can_be_made:
            report.add(Kind.DAMAGED, output, f"nothing is left to compare it with: {problem}")
            if manifest.exists():
                report.findings.append(self.manifest_finding(task, problem, None))
        elif not is_own and (problem or other or (written != found and not report.findings)):
            is_right = not report.findings
            report.findings.append(self.manifest_finding(task, problem or FOREIGN, found if is_right else None))
        # What is a user's is not ours to remove, and no task makes it while it is there.
        return Verified(report, None if is_own else task)

    def read_manifest(self, task: DataSetTask) -> "ReadManifest":
        """Read the manifest of an output, and compare the inputs that it names with those of this build."""
        path = Path(task.manifest().path)
        if path.parent != self.paths.manifests and path.parent.is_symlink():
            return ReadManifest(None, f"{path.parent} is a link", "")
        try:
            manifest = read_manifest(path)
        except ManifestError as error:
            return ReadManifest(None, str(error), "")
        if manifest.output != task.relative_output():
            return ReadManifest(None, f"it is that of {manifest.output or 'an unnamed output'}", "")
        return ReadManifest(manifest.files, "", self._other_input(task, manifest))

    def _other_input(self, task: DataSetTask, manifest: Manifest) -> str:
        """Return an input of an output, or of what it was made from, that is not that of this build; empty if none."""
        # Also of an archive that was deleted after the output was made of it.
        expected = {**self._archive_digests, **self.expected_inputs(task)}
        others = sorted(name for name in expected if manifest.inputs.get(name, expected[name]) != expected[name])
        inherited = (
            self.read_manifest(made).other_input for made, _ in task.reads() if not self.computed(made).exists()
        )
        return others[0] if others else next(filter(None, inherited), "")

    @cached_property
    def _archive_digests(self) -> dict[str, str]:
        digests = (self.clone(download).digest() for download in DOWNLOADS)
        return {name: digest for archive in digests for name, digest in archive.items()}

    def computed(self, task: DataSetTask) -> Path:
        """Return where this run writes what it computes anew in place of the output of a task."""
        return self.run_folder / "computed" / Path(task.output().path).relative_to(self.data_dir)

    def expected_inputs(self, task: DataSetTask) -> dict[str, str]:
        """Return the digests of what an output is made from: as this run has computed it, or else as it was written."""
        digests = task.facts()
        for made, names in task.reads():
            computed = self.computed(made)
            if computed.exists():
                digests |= made.name_digest({name: entry_of_file(computed / name) for name in names or ("",)})
            else:
                with suppress(ManifestError):
                    digests |= made.checked_digest(*names)
        return digests

    def manifest_finding(self, task: DataSetTask, problem: str, files: Files | None) -> Finding:
        """Return the finding for a manifest; with one to put in its place, if the output is right and holds `files`."""
        manifest = Path(task.manifest().path)
        kind = Kind.DAMAGED if manifest.exists() else Kind.MISSING
        if files is None:
            return Finding(kind, manifest, problem)
        right = Manifest(files, self.expected_inputs(task), task.relative_output())
        substitute = self.run_folder / manifest.relative_to(self.paths.index_folder)
        replace_file(substitute, serialize_manifest(right), durable=False)
        return Finding(kind, manifest, problem, command_line(task), substitute=substitute)

    def details_findings(self, task: DataSetTask, expected: str | None) -> list[Finding]:
        """Compare the details of an output that is right.

        Parameters
        ----------
        task : DataSetTask
            Makes the output.
        expected : str or None
            What its details have to be; None if nothing tells: then the output has to be made again if they are gone.
        """
        path = Path(task.details().path)
        reason = ""
        try:
            if path.parent.is_symlink() or path.is_symlink():
                reason = "it is a link"
            elif read_details(path) != expected and expected is not None:
                reason = "it does not say what the output holds"
        except (DamagedFileError, OSError):
            reason = "it is not as it was written"
        if not reason:
            return []
        kind = Kind.DAMAGED if os.path.lexists(path) else Kind.MISSING
        if expected is None:
            return [Finding(kind, path, reason)]
        substitute = self.run_folder / path.relative_to(self.paths.index_folder)
        write_details(substitute, expected, durable=False)
        return [Finding(kind, path, reason, command_line(task), substitute=substitute)]


def _as_of_another_build(finding: Finding) -> Finding:
    """Return the finding of a file that is in the manifest: a person has not put it there, and a repair removes it."""
    if finding.kind is not Kind.EXTRA:
        return finding
    return replace(finding, kind=Kind.DAMAGED, reason="it was made from something else than the build is")


def _with_task(finding: Finding, task: Any) -> Finding:
    """Add the task that makes the file, and what a repair removes so that the task makes it again."""
    if task is None or finding.kind not in (Kind.DAMAGED, Kind.MISSING) or finding.substitute or finding.to_remove:
        return finding
    beside = [task.manifest()] if isinstance(task, DataSetTask) else []
    if isinstance(task, DataSetTask) and task.has_details:
        beside.append(task.details())
    to_remove = tuple(Path(target.path) for target in (task.output(), *beside))
    return replace(finding, made_by=command_line(task), to_remove=to_remove)


def command_line(task: Any) -> str:
    """Return a task's name and its significant parameters, as ``luigi --module luigi_ilsvrc`` takes them.

    Those that have the value which they have without being given are left out.
    """
    given = {
        name: parameter.serialize(getattr(task, name))
        for name, parameter in task.get_params()
        if parameter.significant and not _is_by_itself(task, name, parameter)
    }
    options = [word for name, value in sorted(given.items(), reverse=True) for word in (option(name), value)]
    return shlex.join([task.task_family, *options])


def _is_by_itself(task: Any, name: str, parameter: Any) -> bool:
    has_value = parameter.has_task_value(task.task_family, name)
    return has_value and parameter.normalize(parameter.task_value(task.task_family, name)) == getattr(task, name)
