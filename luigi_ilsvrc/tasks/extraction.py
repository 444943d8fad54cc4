"""Images and annotations, extracted into class folders."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import luigi

from luigi_ilsvrc import extract, synsets, tar_index
from luigi_ilsvrc.manifest import Manifest
from luigi_ilsvrc.tasks.base import ILSVRCTask, OutputTask, ParameterError
from luigi_ilsvrc.tasks.downloads import DownloadBoundingBoxes
from luigi_ilsvrc.tasks.image_index import TRAIN, VALIDATION, IndexTrain, IndexValidation, missing_archive
from luigi_ilsvrc.tasks.reporting import TaskProgress
from luigi_ilsvrc.tasks.targets import WholeDirectoryTarget


class SynsetParameter(luigi.Parameter):
    """A synset."""

    def normalize(self, x: Any) -> str:
        """Return the synset; raises `ParameterError` where it is none."""
        if not synsets.SYNSET.fullmatch(str(x)):
            raise ParameterError(f"{x!r} is not a synset such as n01440764")
        return str(x)


class ExtractTrainPerSynset(OutputTask):
    """Extracts the training images of one synset."""

    synset = SynsetParameter(description="such as n01440764")
    priority = 20

    def requires(self) -> Iterator[luigi.Task]:
        """Require the index, and the archive where it has been deleted."""
        yield self.clone(IndexTrain)
        yield from missing_archive(self, TRAIN)

    def output(self) -> WholeDirectoryTarget:
        """Return the synset's class folder."""
        # Not by way of an IndexTrain, which would be made 1000 times only to find a build complete.
        return WholeDirectoryTarget(self.dataset / IndexTrain.folder_name / self.synset)

    def make(self, path: Path, progress: TaskProgress) -> Manifest:
        """Copy the synset's images out of the archive."""
        index = self.clone(IndexTrain)
        images = tar_index.read_index(Path(index.output().path), self.synset)
        with tar_index.ImageReader(self.dataset, index.folders) as reader:
            return extract.extract_synset(reader, images, path, progress)


class TrainImages(ILSVRCTask, luigi.WrapperTask):
    """All training images, in class folders."""

    def requires(self) -> list[ExtractTrainPerSynset]:
        """Require the images of each synset of the table."""
        return [self.clone(ExtractTrainPerSynset, synset=synset) for synset in self.read_synsets()]


class SortValidation(OutputTask):
    """Extracts the validation images, straight into class folders."""

    priority = 30

    def requires(self) -> Iterator[luigi.Task]:
        """Require the index, and the archive where it has been deleted."""
        yield self.clone(IndexValidation)
        yield from missing_archive(self, VALIDATION)

    def output(self) -> WholeDirectoryTarget:
        """Return the folder of class folders."""
        return WholeDirectoryTarget(self.clone(IndexValidation).folders)

    def make(self, path: Path, progress: TaskProgress) -> Manifest:
        """Copy the images out of the archive."""
        index = self.clone(IndexValidation)
        directory = Path(index.output().path)
        images = [image for synset in self.read_synsets() for image in tar_index.read_index(directory, synset)]
        with tar_index.ImageReader(self.dataset, index.folders) as reader:
            return extract.extract_sorted(reader, images, path, progress)


class ExtractBoundingBoxes(OutputTask):
    """Extracts the annotations, one XML file an image."""

    priority = 10
    unit = "files"

    def requires(self) -> luigi.Task:
        """Require the archive."""
        return self.clone(DownloadBoundingBoxes)

    def output(self) -> WholeDirectoryTarget:
        """Return the folder of class folders."""
        return WholeDirectoryTarget(self.dataset / "training_bounding_boxes")

    def make(self, path: Path, progress: TaskProgress) -> Manifest:
        """Unpack the archive."""
        from luigi_ilsvrc import boxes

        return boxes.extract_annotations(Path(self.input().path), path, progress)
