"""The verification of the class folders of a subset."""

from collections.abc import Iterator
from pathlib import Path

import luigi

from luigi_ilsvrc.findings import Finding, Kind, Report
from luigi_ilsvrc.layouts.index import ImageLocation
from luigi_ilsvrc.progress import Progress
from luigi_ilsvrc.storage.manifest import Files, entry_of_file
from luigi_ilsvrc.tasks.parameters import split_parameter
from luigi_ilsvrc.tasks.selection import SubsetTask
from luigi_ilsvrc.tasks.subset_images import SubsetImages
from luigi_ilsvrc.tasks.verification.parts import Verified, VerifyPart, command_line
from luigi_ilsvrc.tasks.verification.records import VerifyIndex


class VerifySubsetImages(SubsetTask, VerifyPart):
    """Verifies the class folders of a subset: which images there are, where links lead to, and what was extracted."""

    split = split_parameter()

    @property
    def name(self) -> str:
        """The subset and the split."""
        return f"images-{self.name_of_subset}-{self.split}"

    def requires(self) -> list[luigi.Task]:
        """Require that the index was verified."""
        index = self.clone(VerifyIndex, split=self.split)
        return [index] if self.is_selected(index.name) else []

    def verify(self, progress: Progress) -> Iterator[Verified]:
        """Look at each image of the subset, and at what else there is."""
        task, report = self.clone(SubsetImages, split=self.split), Report()
        output = Path(task.output().path)
        if not output.exists():
            yield Verified(Report(findings=[_finding(task, Kind.MISSING, output, "there is no such output")]), None)
            return
        images = {Path(image.synset, image.name): image for image in task.images()}
        written, problem, _ = self.read_manifest(task)
        if written is None:
            report.findings.append(_finding(task, Kind.DAMAGED, Path(task.manifest().path), problem))
        for done, (name, image) in enumerate(images.items(), start=1):
            report.files += 1
            reason = self._problem(output / name, image, written or {}, report)
            if reason:
                kind = (
                    Kind.MISSING if not (output / name).is_symlink() and not (output / name).exists() else Kind.DAMAGED
                )
                report.findings.append(_finding(task, kind, output / name, reason))
            progress("verifying", done, len(images), "images")
        for path in sorted(output.glob("*/*")):
            if path.relative_to(output) not in images and not path.name.startswith("."):
                report.add(Kind.EXTRA, path, "the build did not write it")
        yield Verified(report, None)

    def _problem(self, path: Path, image: ImageLocation, written: Files, report: Report) -> str:
        """Return what is wrong with an image; empty if nothing is."""
        if path.is_symlink():
            try:
                is_right = path.stat().st_size == image.size and path.resolve().name == image.name
            except OSError:
                is_right = False
            return "" if is_right else "the link does not lead to the image"
        try:
            found = entry_of_file(path)
        except FileNotFoundError:
            return "there is no such image"
        report.bytes += found.size
        return "" if written.get(str(path.relative_to(path.parents[1]))) == found else "it is not as it was written"


def _finding(task: SubsetImages, kind: Kind, path: Path, reason: str) -> Finding:
    to_remove = (Path(task.output().path), Path(task.manifest().path))
    return Finding(kind, path, reason, command_line(task), to_remove=to_remove)
