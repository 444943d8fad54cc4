"""The verification of the class folders of a subset."""

import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import luigi

from luigi_ilsvrc.dataset.archives import IMAGE_ARCHIVES
from luigi_ilsvrc.dataset.images import ImageError, check_decodes
from luigi_ilsvrc.dataset.splits import TRAIN
from luigi_ilsvrc.extract import class_folder_places
from luigi_ilsvrc.findings import Finding, Kind, Report
from luigi_ilsvrc.layouts.index import ImageLocation
from luigi_ilsvrc.layouts.tar import ArchiveError
from luigi_ilsvrc.progress import Progress
from luigi_ilsvrc.storage.manifest import Entry, entry_of
from luigi_ilsvrc.tasks.extraction import ExtractTrainPerSynset, SortValidation
from luigi_ilsvrc.tasks.indexing import INDEX_TASKS
from luigi_ilsvrc.tasks.outputs import DataSetTask
from luigi_ilsvrc.tasks.parameters import split_parameter
from luigi_ilsvrc.tasks.selection import SubsetTask
from luigi_ilsvrc.tasks.subset_images import SubsetImages
from luigi_ilsvrc.tasks.verification.images import VerifyArchive, image_entries, reference_index
from luigi_ilsvrc.tasks.verification.parts import Verified, VerifyPart, command_line
from luigi_ilsvrc.tasks.verification.records import VerifyIndex


class VerifySubsetImages(SubsetTask, VerifyPart):
    """Verifies the class folders of a subset: which images there are, and each of them, also through links."""

    split = split_parameter()

    @property
    def name(self) -> str:
        """The subset and the split."""
        return f"images-{self.name_of_subset}-{self.split}"

    def requires(self) -> list[luigi.Task]:
        """Require that archive and index were verified, if this run does that."""
        archive = self.clone(VerifyArchive, archive=IMAGE_ARCHIVES[self.split].local_name)
        return [part for part in (archive, self.clone(VerifyIndex)) if self.is_selected(part.name)]

    def verify(self, progress: Progress) -> Iterator[Verified]:
        """Read each image of the subset, and look at what else there is."""
        task, report = self.clone(SubsetImages), Report()
        output, manifest = Path(task.output().path), Path(task.manifest().path)
        if not output.exists():
            report.findings.append(_finding([task], Kind.MISSING, output, "there is no such output"))
            yield Verified(report, None)
            return
        reference = reference_index(self, self.split)
        try:
            images = task.images(reference if reference.exists() else Path(self._index.output().path))
        except ArchiveError:
            # The index is damaged, which its own part finds; what is made from it is verified when it is right.
            yield Verified(report, None)
            return
        written, problem, other = self.read_manifest(task)
        if problem or other:
            kind = Kind.DAMAGED if manifest.exists() else Kind.MISSING
            report.findings.append(_finding([task], kind, manifest, problem or f"it was made from another {other}"))
        known = cache(lambda synset: image_entries(self, self.split, synset))
        for done, image in enumerate(images, start=1):
            name = f"{image.synset}/{image.name}"
            expected = known(image.synset).get(image.name)
            report.findings += self._findings(task, image, expected, (written or {}).get(name), report)
            progress("verifying", done, len(images), "images")
        taken = {output / image.synset / image.name for image in images}
        for path in _files_in(output):
            if path not in taken:
                report.add(Kind.EXTRA, path, "the build did not write it")
        yield Verified(report, None)

    @property
    def _index(self) -> DataSetTask:
        return self.clone(INDEX_TASKS[self.split])

    def _findings(
        self, task: SubsetImages, image: ImageLocation, expected: Entry | None, written: Entry | None, report: Report
    ) -> Iterator[Finding]:
        """Yield what is wrong with an image, given its entry in the source, and in the manifest, if they are known."""
        path = Path(task.output().path) / image.synset / image.name
        is_link = path.is_symlink()
        report.files += 1
        try:
            contents = path.read_bytes()
        except FileNotFoundError:
            reason = "the link leads to nothing" if is_link else "there is no such image"
            yield _finding([task], Kind.MISSING, path, reason)
            return
        except OSError as error:
            yield Finding(Kind.UNREADABLE, path, f"it cannot be read: {error.strerror or error}")
            return
        report.bytes += len(contents)
        if reason := _problem(contents, image, expected or (None if is_link else written)):
            if is_link and (place := self._place(path, image)) is not None:
                yield self._finding_of_target(task, place, image, reason)
            else:
                yield _finding([task], Kind.DAMAGED, path, reason)
        elif not is_link and written != entry_of(contents):
            yield _finding([task], Kind.DAMAGED, path, "it is not as it was written")

    def _place(self, link: Path, image: ImageLocation) -> Path | None:
        """Return the place of the image that a link leads to; None if it leads to something else."""
        places = class_folder_places(image, self.paths.dataset, self.paths.class_folders(self.split))
        return next((place for place in places if place.resolve() == link.resolve()), None)

    def _finding_of_target(self, task: SubsetImages, place: Path, image: ImageLocation, reason: str) -> Finding:
        if not self.clone(INDEX_TASKS[self.split]).layout.IS_DOWNLOADED:
            # It is the user's own.
            return Finding(Kind.DAMAGED, place, reason)
        extract = ExtractTrainPerSynset if self.split == TRAIN else SortValidation
        chosen = {"synset": image.synset} if self.split == TRAIN else {}
        return _finding([task, self.clone(extract, **chosen)], Kind.DAMAGED, place, reason)


def _problem(contents: bytes, image: ImageLocation, expected: Entry | None) -> str:
    """Return what is wrong with an image; empty if nothing is."""
    if len(contents) != image.size:
        return f"it has {len(contents):,} bytes, the index says {image.size:,}"
    if expected is not None:
        return "" if entry_of(contents) == expected else "its bytes are not those of the source (CRC-32)"
    try:
        check_decodes(contents)
    except ImageError as error:
        return str(error)
    return ""


def _files_in(output: Path) -> list[Path]:
    return sorted(
        Path(folder, name) for folder, _, names in os.walk(output) for name in names if not name.startswith(".")
    )


def _finding(tasks: list[DataSetTask], kind: Kind, path: Path, reason: str) -> Finding:
    """Return the finding for a file that all these tasks have to make again; the first gives its name."""
    to_remove = tuple(Path(made.path) for task in tasks for made in (task.output(), task.manifest()))
    return Finding(kind, path, reason, command_line(tasks[0]), to_remove=to_remove)
