"""A finished build, verified: one task for each output, and one that says whether all is well."""

import datetime
import json
import re
import shlex
import shutil
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import luigi
from luigi.parameter import ParameterVisibility

from luigi_ilsvrc import tar_index
from luigi_ilsvrc.errors import BuildError
from luigi_ilsvrc.manifest import ManifestError, read_manifest, write_manifest
from luigi_ilsvrc.tasks import leftovers
from luigi_ilsvrc.tasks.base import NumberParameter, OutputTask, SwitchParameter
from luigi_ilsvrc.tasks.bounding_boxes import BoundingBoxCSV
from luigi_ilsvrc.tasks.build_all import BuildAll
from luigi_ilsvrc.tasks.downloads import DOWNLOADS
from luigi_ilsvrc.tasks.extraction import ExtractBoundingBoxes, ExtractTrainPerSynset, SortValidation, SynsetParameter
from luigi_ilsvrc.tasks.image_index import INDEX_TASKS, TRAIN, VALIDATION, IndexTask
from luigi_ilsvrc.tasks.reporting import TaskProgress
from luigi_ilsvrc.tasks.targets import SUFFIX, WholeTarget
from luigi_ilsvrc.tasks.tfrecords import PlanShards, ShardCounts, SplitTask, TFRecordShard

if TYPE_CHECKING:
    from luigi_ilsvrc.verify import Report

_NAMED = 1000
"""Findings that the error names; the file beside the verifications names them all."""

_COUNTS = ("files", "bytes", "records")

_MANIFESTS = "/ilsvrc2012/index/manifests/"


class VerificationError(BuildError):
    """A build is not as it was made."""


class Damage(NamedTuple):
    """One finding, as it travels from the task that found it to `VerifyBuild`.

    Attributes
    ----------
    kind, path, reason : str
        See `luigi_ilsvrc.verify.Finding`.
    task : str
        The task that makes the file, as Luigi's command line takes it; empty where none does.
    remove : list of str
        What a repair removes so that the task makes it again.
    """

    kind: str
    path: str
    reason: str
    task: str
    remove: list[str]

    def __str__(self) -> str:
        origin = f"made by {self.task}" if self.task else "no task makes it"
        return f"{self.kind} {self.path}: {self.reason}; {origin}"


class VerificationTask(OutputTask):
    """A task of the verification of one date."""

    has_manifest = False

    date = luigi.DateParameter(
        default=datetime.date.today(), description="the verification's name; a date that verified well is not repeated"
    )

    @property
    def verifications(self) -> Path:
        """The folder of all verifications."""
        return self.dataset / "verification"


_STARTED = str(time.time_ns())
"""Tells runs apart: what one run has read says nothing about what another is going to find."""


class VerifyPart(VerificationTask):
    """Reads one output again and writes what it found; requires nothing, and succeeds whatever it found."""

    started = luigi.Parameter(default=_STARTED, description="when the run began that this is a part of, in ns")

    @property
    def name(self) -> str:
        """Its name among the parts."""
        raise NotImplementedError

    def output(self) -> WholeTarget:
        """Return the file of findings: removed when the build's verification is complete."""
        return WholeTarget(self.verifications / f"{self.date.isoformat()}-{self.started}" / f"{self.name}.json")

    def verify(self, progress: TaskProgress) -> "list[tuple[Report, luigi.Task | None]]":
        """Return a report for each output, and the task that makes it: None for what is no task's."""
        raise NotImplementedError

    def make(self, path: Path, progress: TaskProgress) -> None:
        """Verify, and write counts and findings."""
        reports = self.verify(progress)
        counts = {name: sum(getattr(report, name) for report, _ in reports) for name in _COUNTS}
        damage = [damage for report, task in reports for damage in _damage(report, task)]
        path.write_text(json.dumps({**counts, "damage": damage}))

    @classmethod
    def from_str_params(cls, params_str: Any) -> Any:
        """Load a task that the scheduler hands to an assistant, which then forks a process for it."""
        _import_before_forking(cls)
        return super().from_str_params(params_str)


def _damage(report: "Report", task: luigi.Task | None) -> list[Damage]:
    return [
        Damage(kind, str(path), reason, command_line(task) if made else "", _to_remove(task, path) if made else [])
        for kind, path, reason in report.findings
        for made in [task is not None and kind in ("damaged", "missing")]
    ]


def command_line(task: Any) -> str:
    """Return a task's name and its significant parameters, as ``luigi --module luigi_ilsvrc`` takes them."""
    given = {
        name: parameter.serialize(getattr(task, name)) for name, parameter in task.get_params() if parameter.significant
    }
    options = [
        word for name, value in sorted(given.items(), reverse=True) for word in (f"--{name.replace('_', '-')}", value)
    ]
    return shlex.join([task.task_family, *options])


def _to_remove(task: Any, damaged: Path) -> list[str]:
    """Return what a repair removes: never an output because of its manifest, without which it may be a user's own."""
    manifest = [task.manifest().path] if isinstance(task, OutputTask) and task.has_manifest else []
    return [] if str(damaged) in manifest else [task.output().path, *manifest]


def _manifest(task: OutputTask, is_users: bool) -> Path | None:
    """Return where the manifest must be; None where there is none because the output is a user's own."""
    manifest = Path(task.manifest().path)
    return None if is_users and not manifest.exists() else manifest


# The parts -----------------------------------------------------------------------------------------------------------


class VerifyArchive(VerifyPart):
    """Compares the MD5 sum of an archive, where it has not been deleted since."""

    archive = luigi.ChoiceParameter(
        choices=[download.archive.local_name for download in DOWNLOADS], description="its name below ilsvrc2012"
    )
    unit = "B"
    priority = 10

    @property
    def name(self) -> str:
        """The archive's name."""
        return str(self.archive)

    def verify(self, progress: TaskProgress) -> "list[tuple[Report, luigi.Task | None]]":
        """Read the archive."""
        from luigi_ilsvrc import verify

        download = next(self.clone(task) for task in DOWNLOADS if task.archive.local_name == self.archive)
        path = Path(download.output().path)
        report = verify.Report()
        if path.exists():
            md5 = download.md5()
            report = verify.verify_archive(path, md5, progress) if md5 else report
        elif download.set_aside.exists():
            report.find(verify.MISSING, path, "a repair set it aside, and it has not been brought again")
        return [(report, download)]


class VerifySynset(VerifyPart):
    """Verifies the training images of one synset."""

    synset = SynsetParameter(description="such as n01440764")

    @property
    def name(self) -> str:
        """The synset."""
        return str(self.synset)

    def verify(self, progress: TaskProgress) -> "list[tuple[Report, luigi.Task | None]]":
        """Read and decode the images."""
        task = self.clone(ExtractTrainPerSynset, synset=self.synset)
        return [_verify_images(task, self.clone(INDEX_TASKS[TRAIN]), [self.synset], "{0.name}", progress)]


class VerifyValidation(VerifyPart):
    """Verifies the validation images."""

    @property
    def name(self) -> str:
        """The folder's name."""
        return "validation_images"

    def verify(self, progress: TaskProgress) -> "list[tuple[Report, luigi.Task | None]]":
        """Read and decode the images."""
        task, index = self.clone(SortValidation), self.clone(INDEX_TASKS[VALIDATION])
        return [_verify_images(task, index, self.read_synsets(), "{0.synset}/{0.name}", progress)]


def _verify_images(
    task: OutputTask, index: IndexTask, synsets: list[str], name: str, progress: TaskProgress
) -> "tuple[Report, luigi.Task | None]":
    from luigi_ilsvrc import verify

    indexed, written = Path(index.output().path), Path(index.manifest().path)
    sizes = None
    if verify.is_as_written(indexed, [f"{synset}.csv" for synset in synsets], written):
        images = (image for synset in synsets for image in tar_index.read_index(indexed, synset))
        sizes = {name.format(image): image.size for image in images}
    output, manifest = Path(task.output().path), _manifest(task, is_users=indexed.name != index.split)
    # What a user brought is not ours to remove, and no task makes it while it is there.
    builder = None if manifest is None and output.exists() else task
    return verify.verify_images(output, manifest, sizes, progress), builder


class VerifyAnnotations(VerifyPart):
    """Verifies the extracted annotations."""

    @property
    def name(self) -> str:
        """The folder's name."""
        return "training_bounding_boxes"

    unit = "files"

    def verify(self, progress: TaskProgress) -> "list[tuple[Report, luigi.Task | None]]":
        """Read the annotations."""
        from luigi_ilsvrc import verify

        task = self.clone(ExtractBoundingBoxes)
        manifest = _manifest(task, is_users=not Path(task.requires().output().path).exists())
        output = Path(task.output().path)
        builder = None if manifest is None and output.exists() else task
        return [(verify.verify_output(output, manifest, progress), builder)]


class VerifyShard(SplitTask, VerifyPart):
    """Verifies one shard."""

    shard = NumberParameter(description="the number of the shard, from 0")
    unit = "records"

    @property
    def _task(self) -> TFRecordShard:
        return self.clone(TFRecordShard)

    @property
    def name(self) -> str:
        """The shard's name."""
        return Path(self._task.output().path).name

    def verify(self, progress: TaskProgress) -> "list[tuple[Report, luigi.Task | None]]":
        """Read the records."""
        from luigi_ilsvrc import shards, verify

        plan = self.clone(PlanShards)
        directory = Path(plan.output().path)
        planned = None
        if verify.is_as_written(directory, [shards.plan_file(directory, self.shard).name], Path(plan.manifest().path)):
            planned = shards.read_plan(directory, self.shard)
        return [(verify.verify_shard(Path(self._task.output().path), planned, progress), self._task)]


class VerifyIndex(ShardCounts, VerifyPart):
    """Verifies index and plans, that they agree, the CSV, and that there is nothing else."""

    @property
    def name(self) -> str:
        """The folder's name."""
        return "index"

    unit = "files"

    tfrecords = BuildAll.tfrecords

    def verify(self, progress: TaskProgress) -> "list[tuple[Report, luigi.Task | None]]":
        """Read index, plans and CSV."""
        index = {split: self._verified(self.clone(task), progress) for split, task in INDEX_TASKS.items()}
        found = [*index.values(), self._verified(self.clone(BoundingBoxCSV), progress)]
        for split, num_shards in self.counts.items() if self.tfrecords else ():
            plan = self._verified(self.clone(PlanShards, split=split, num_shards=num_shards), progress)
            self._check_coverage(index[split], plan)
            found.append(plan)
        return [*found, (self._extra(), None)]

    def _verified(self, task: OutputTask, progress: TaskProgress) -> "tuple[Report, Any]":
        from luigi_ilsvrc import verify

        return verify.verify_output(Path(task.output().path), Path(task.manifest().path), progress), task

    def _check_coverage(self, index: "tuple[Report, Any]", plan: "tuple[Report, Any]") -> None:
        from luigi_ilsvrc import shards, verify

        (index_report, index_task), (plan_report, plan_task) = index, plan
        if index_report.findings or plan_report.findings:
            return
        indexed, planned = Path(index_task.output().path), Path(plan_task.output().path)
        if not verify.same_images(
            (image for synset in self.read_synsets() for image in tar_index.read_index(indexed, synset)),
            (image.location for n in range(plan_task.num_shards) for image in shards.read_plan(planned, n)),
        ):
            plan_report.find(verify.DAMAGED, planned, "it does not hold each image of the index exactly once")

    def _extra(self) -> "Report":
        from luigi_ilsvrc import verify

        return verify.Report(
            findings=[
                finding
                for folder, is_known in self._folders()
                for finding in verify.find_extra(folder, is_known, SUFFIX)
            ]
        )

    def _folders(self) -> Iterable[tuple[Path, Callable[[str], bool]]]:
        """Return the folders that hold outputs, and what belongs there; shards of other counts are other outputs."""
        archives = {self.clone(task).output().path: self.clone(task).set_aside.name for task in DOWNLOADS}
        top = {Path(path).name for path in archives} | set(archives.values())
        top |= {"training_images", "validation_images", "training_bounding_boxes", "tfrecords", "index"}
        synsets = set(self.read_synsets())
        index = re.compile(rf"({TRAIN}|{VALIDATION})(-folders|-plan-of-\d{{5,}})?")
        shard = re.compile(rf"({TRAIN}|{VALIDATION})-(\d{{5,}})-of-(\d{{5,}})")

        def is_shard(name: str) -> bool:
            parts = shard.fullmatch(name)
            return parts is not None and int(parts[2]) < int(parts[3])

        def is_manifest_in(is_known: Callable[[str], bool]) -> Callable[[str], bool]:
            return lambda name: name.endswith(".csv") and is_known(name.removesuffix(".csv"))

        def is_index(name: str) -> bool:
            return index.fullmatch(name) is not None

        manifests = self.dataset / "index" / "manifests"
        csv = Path(self.clone(BoundingBoxCSV).output().path).name
        outputs = {csv, "training_bounding_boxes", "validation_images"}
        return [
            (self.dataset, lambda name: name in top | {"verification", "report.html"}),
            # Other files beside the CSV are anybody's.
            (self.data_dir, lambda name: name == csv or not name.startswith(csv)),
            (self.dataset / "training_images", synsets.__contains__),
            (self.dataset / "tfrecords", is_shard),
            (self.dataset / "index", lambda name: name == "manifests" or is_index(name)),
            (
                manifests,
                lambda name: name in ("training_images", "index") or is_manifest_in(outputs.__contains__)(name),
            ),
            (manifests / "training_images", is_manifest_in(synsets.__contains__)),
            (manifests / "index", is_manifest_in(is_index)),
        ]


# The whole -----------------------------------------------------------------------------------------------------------


class VerifyBuild(ShardCounts, VerificationTask):
    """Reads a finished build again, and names what is damaged, missing or extra; builds and downloads nothing.

    Its output is written where all is well. Else it fails, and a later run for the same date verifies all afresh.
    """

    tfrecords = BuildAll.tfrecords
    started = luigi.Parameter(
        default=_STARTED, significant=False, visibility=ParameterVisibility.HIDDEN, description="when it began, in ns"
    )
    repair = SwitchParameter(
        default=False,
        significant=False,
        description="true removes damaged outputs, so that the next BuildAll makes just those again",
    )
    unit = "files"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.tfrecords and not self.complete():
            from luigi_ilsvrc import shards

            shards.require_tensorflow()

    def requires(self) -> list[VerifyPart]:
        """Require a part for each output that BuildAll makes."""
        shards = self.counts.items() if self.tfrecords else ()
        return [
            *(self.clone(VerifyArchive, archive=download.archive.local_name) for download in DOWNLOADS),
            *map(self.clone, (VerifyIndex, VerifyAnnotations, VerifyValidation)),
            *(self.clone(VerifySynset, synset=synset) for synset in self.read_synsets()),
            *(
                self.clone(VerifyShard, split=split, num_shards=num_shards, shard=shard)
                for split, num_shards in shards
                for shard in range(num_shards)
            ),
        ]

    def output(self) -> WholeTarget:
        """Return what was verified: counts of files, bytes and records."""
        return WholeTarget(self.verifications / f"{self.date.isoformat()}.json")

    @property
    def damage_file(self) -> Path:
        """Where all findings are named when there are any."""
        return self.verifications / f"{self.date.isoformat()}-damage.txt"

    def make(self, path: Path, progress: TaskProgress) -> None:
        """Put the parts together.

        Raises
        ------
        VerificationError
            Naming what is damaged, missing or extra.
        """
        parts = [json.loads(Path(part.path).read_text()) for part in self.input()]
        damage = [Damage(*found) for part in parts for found in part["damage"]]
        if damage:
            self._fail(damage)
        counts = {name: sum(part[name] for part in parts) for name in _COUNTS}
        path.write_text(json.dumps({**self._scope(), **counts}, indent=2) + "\n")
        self.damage_file.unlink(missing_ok=True)
        self._remove_parts()

    def _scope(self) -> dict[str, Any]:
        return {
            "date": self.date.isoformat(),
            "tfrecords": self.tfrecords,
            **({"shards": self.counts} if self.tfrecords else {}),
        }

    def complete(self) -> bool:
        """Tell whether the date's verification is of as much as this one would be."""
        try:
            verified = json.loads(Path(self.output().path).read_text())
        except FileNotFoundError:
            return False
        return self._scope().items() <= verified.items()

    def run(self) -> None:
        """Verify, in place of a verification of less or something else."""
        if not self.complete():
            Path(self.output().path).unlink(missing_ok=True)
        super().run()

    def _remove_parts(self) -> None:
        """Remove the parts of this run, and of others that were killed."""
        for path in self.verifications.glob(f"{self.date.isoformat()}-*"):
            if path.is_dir():
                shutil.rmtree(path)

    def _fail(self, damage: list[Damage]) -> None:
        lines = [str(found) for found in damage]
        self.damage_file.write_text("".join(f"{line}\n" for line in lines))
        advice = self._repair(damage) if self.repair else "run it with --repair true, then BuildAll, to make it whole"
        self._remove_parts()
        if len(lines) > _NAMED:
            lines[_NAMED:] = [f"and {len(lines) - _NAMED} more"]
        raise VerificationError(
            f"{self.data_dir}: the build is not as it was made: {len(damage)} findings, also in {self.damage_file}; "
            f"{advice}" + "".join(f"\n  {line}" for line in lines)
        )

    def _repair(self, damage: list[Damage]) -> str:
        """Remove what the tasks then make again; return what was done, and what is left for a person to do."""
        restored = sum(map(_restore_manifest, {found.path for found in damage}))
        strangers = [Path(found.path) for found in damage if found.kind == "extra"]
        outputs = {Path(path) for found in damage for path in found.remove}
        kept = {output for output in outputs if any(stranger.is_relative_to(output) for stranger in strangers)}
        set_aside = {Path(task.output().path): task.set_aside for task in map(self.clone, DOWNLOADS)}
        removed = sum(_remove(output, set_aside.get(output)) for output in sorted(outputs - kept))
        leftovers.clear(self.data_dir, self.dataset)
        left = sum(not found.task and Path(found.path).exists() for found in damage)
        done = (
            f"{removed} damaged outputs and manifests are removed, {restored} manifests are restored: run BuildAll, "
            "which makes just those again"
        )
        return f"{done}; {left} files that no task makes are left for you to restore or remove" if left else done


def _restore_manifest(path: str) -> bool:
    if _MANIFESTS not in path or not Path(path).is_file():
        return False
    try:
        read_manifest(Path(path))
    except ManifestError as error:
        if error.intact is not None:
            write_manifest(error.intact, Path(path))
            return True
    return False


def _remove(path: Path, set_aside: Path | None) -> bool:
    """Remove an output; of a link, the link alone; an archive is set aside. Tell whether it was there."""
    if set_aside is not None and path.exists():
        path.rename(set_aside)
    elif path.is_symlink() or path.is_file():
        path.unlink()
    elif path.is_dir():
        shutil.rmtree(path)
    else:
        return False
    return True


@VerifyBuild.event_handler(luigi.Event.DEPENDENCY_DISCOVERED)
def import_before_forking(task: VerifyBuild, dependency: luigi.Task) -> None:
    """Import in the process that forks one child a part what the children need, once and not 2,157 times."""
    _import_before_forking(type(dependency))


def _import_before_forking(task_class: type[luigi.Task]) -> None:
    from luigi_ilsvrc import (
        images,
        shards,
        verify,  # noqa: F401
    )

    images.load_pillow()
    if issubclass(task_class, VerifyShard):
        shards.load_tensorflow()
