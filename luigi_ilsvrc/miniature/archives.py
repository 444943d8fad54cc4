"""The content of the three archives, chunk by chunk."""

import random
from collections.abc import Iterator, Sequence

from luigi_ilsvrc.dataset.tar_writer import tar_size
from luigi_ilsvrc.miniature.annotation_xml import annotation_xml
from luigi_ilsvrc.miniature.annotations import choose_annotations
from luigi_ilsvrc.miniature.boxes import choose_boxes
from luigi_ilsvrc.miniature.images import NamedImage, TrainImages
from luigi_ilsvrc.miniature.tar import TarMember, compress, write_tar
from luigi_ilsvrc.progress import Progress


class FileCounter:
    """Counts the files of all archives together and reports them as progress."""

    def __init__(self, total: int, progress: Progress) -> None:
        self._total = total
        self._progress = progress
        self._done = 0

    def add(self, stage: str, files: int = 1) -> None:
        """Report that more files are written."""
        self._done += files
        self._progress(stage, self._done, self._total, "files")


def train_archive(train: TrainImages, seed: int, counter: FileCounter) -> Iterator[bytes]:
    """Yield the training archive: a tar of one tar for each synset, in random order."""
    indices = list(range(len(train.synsets)))
    random.Random(f"{seed} training archive").shuffle(indices)

    def synset_tars() -> Iterator[TarMember]:
        for index in indices:
            images = train.of_synset(index)
            size = tar_size(image.size for image in images)
            yield TarMember(f"{train.synsets[index]}.tar", size, write_tar(map(_image_member, images)))
            counter.add("writing training images", len(images))

    return write_tar(synset_tars())


def validation_archive(images: Sequence[NamedImage], counter: FileCounter) -> Iterator[bytes]:
    """Yield the validation archive: a tar of the images, in the order given."""

    def members() -> Iterator[TarMember]:
        for image in images:
            yield _image_member(image)
            counter.add("writing validation images")

    return write_tar(members())


def _image_member(image: NamedImage) -> TarMember:
    return TarMember(image.name, image.size, (image.data(),))


def annotation_archive(train: TrainImages, count: int, seed: int, counter: FileCounter) -> Iterator[bytes]:
    """Yield the archive of bounding boxes: a compressed tar of `count` XML files in random order."""
    rng = random.Random(f"{seed} annotations")
    annotations = list(choose_annotations(train, count, seed))
    rng.shuffle(annotations)

    def members() -> Iterator[TarMember]:
        for annotation in annotations:
            xml = annotation_xml(annotation, choose_boxes(annotation, train.synsets, rng))
            yield TarMember(f"{annotation.synset}/{annotation.image}.xml", len(xml), (xml,))
            counter.add("writing bounding boxes")

    return compress(write_tar(members()))
