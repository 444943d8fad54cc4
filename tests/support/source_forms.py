"""The forms that a source folder may have, made from a folder of the official archives."""

import shutil
from collections.abc import Callable
from pathlib import Path

from luigi_ilsvrc.dataset.archives import BOUNDING_BOX_ARCHIVE, CHECKSUM_FILE, TRAIN_ARCHIVE, VALIDATION_ARCHIVE
from luigi_ilsvrc.dataset.splits import SPLITS
from tests.support.parquet_files import rows_of, write_files
from tests.support.source_images import TABLES, annotations, tables_of, train_images, validation_images


def _write(path: Path, contents: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(contents)


def copy_tables(source: Path, folder: Path) -> None:
    """Copy the label tables."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in TABLES:
        shutil.copy(source / name, folder)


def write_train_folders(source: Path, folder: Path) -> None:
    """Write ``<folder>/<synset>/<name>`` of each training image."""
    for synset, name, contents in train_images(source):
        _write(folder / synset / name, contents)


def write_validation_folders(source: Path, folder: Path) -> None:
    """Write ``<folder>/<synset>/<name>`` of each validation image."""
    for synset, name, contents in validation_images(source):
        _write(folder / synset / name, contents)


def write_unsorted_validation(source: Path, folder: Path) -> None:
    """Write ``<folder>/<name>`` of each validation image."""
    for _, name, contents in validation_images(source):
        _write(folder / name, contents)


def write_annotations(source: Path, folder: Path) -> None:
    """Write ``<folder>/<synset>/<name>`` of each annotation."""
    for name, contents in annotations(source):
        _write(folder / name, contents)


def kaggle(source: Path, folder: Path) -> None:
    """Write Kaggle's tree, with its own label tables and annotations of validation images."""
    inside = folder / "ILSVRC"
    write_train_folders(source, inside / "Data/CLS-LOC/train")
    write_unsorted_validation(source, inside / "Data/CLS-LOC/val")
    write_annotations(source, inside / "Annotations/CLS-LOC/train")
    tables = tables_of(source)
    words = tables.class_names()
    (folder / "LOC_synset_mapping.txt").write_text("".join(f"{synset} {text}\n" for synset, text in words.items()))
    rows = [
        f"ILSVRC2012_val_{number:08},{synset} 1 2 30 40 \n"
        for number, synset in enumerate(tables.validation_labels(), start=1)
    ]
    (folder / "LOC_val_solution.csv").write_text("".join(["ImageId,PredictionString\n", *rows[::-1]]))
    for number, synset in enumerate(tables.validation_labels(), start=1):
        name = f"ILSVRC2012_val_{number:08}"
        _write(inside / f"Annotations/CLS-LOC/val/{name}.xml", _validation_xml(name, synset).encode())


def _validation_xml(name: str, synset: str) -> str:
    box = "<xmin>10</xmin><ymin>20</ymin><xmax>60</xmax><ymax>80</ymax>"
    size = "<size><width>100</width><height>200</height><depth>3</depth></size>"
    return (
        f"<annotation><filename>{name}</filename>{size}"
        f"<object><name>{synset}</name><bndbox>{box}</bndbox></object></annotation>\n"
    )


def torchvision(source: Path, folder: Path) -> None:
    """Write what torchvision makes: class folders ``train`` and ``val``; beside them ``Annotations``."""
    write_train_folders(source, folder / "train")
    write_validation_folders(source, folder / "val")
    write_annotations(source, folder / "Annotations")
    copy_tables(source, folder)


def unsorted(source: Path, folder: Path) -> None:
    """Write class folders of training images, and validation images in no folders."""
    torchvision(source, folder)
    shutil.rmtree(folder / "val")
    write_unsorted_validation(source, folder / "val")


def ours(source: Path, folder: Path) -> None:
    """Write folders as a build has them."""
    write_train_folders(source, folder / "ilsvrc2012/training_images")
    write_validation_folders(source, folder / "ilsvrc2012/validation_images")
    write_annotations(source, folder / "ilsvrc2012/training_bounding_boxes")
    copy_tables(source, folder)


def mixed(source: Path, folder: Path) -> None:
    """Write archives of training images and of annotations, and folders of validation images."""
    write_validation_folders(source, folder / "val")
    copy_tables(source, folder)
    for name in (TRAIN_ARCHIVE.name, BOUNDING_BOX_ARCHIVE.name, CHECKSUM_FILE):
        shutil.copy(source / name, folder)


def mixed_other_way(source: Path, folder: Path) -> None:
    """Write the archive of validation images, and folders of all else."""
    torchvision(source, folder)
    shutil.rmtree(folder / "val")
    for name in (VALIDATION_ARCHIVE.name, CHECKSUM_FILE):
        shutil.copy(source / name, folder)


def parquet(source: Path, folder: Path) -> None:
    """Write Hugging Face's files, and beside them the archive of annotations."""
    for split in SPLITS:
        write_files(folder, split, rows_of(source, split))
    copy_tables(source, folder)
    shutil.copy(source / BOUNDING_BOX_ARCHIVE.name, folder)
    # Its sums of images are of other archives.
    shutil.copy(source / CHECKSUM_FILE, folder)


FORMS: dict[str, Callable[[Path, Path], None]] = {
    "Kaggle's tree": kaggle,
    "Kaggle's ILSVRC itself": kaggle,
    "torchvision's root": torchvision,
    "unsorted validation images": unsorted,
    "a build's own folders": ours,
    "archives and a folder": mixed,
    "folders and an archive": mixed_other_way,
    "Hugging Face's parquet": parquet,
}
"""By a name for people; each writes its form of a folder of the official archives to another folder."""


def source_below(folder: Path, form: str) -> Path:
    """Return what is given as ``--source``."""
    return folder / "ILSVRC" if form == "Kaggle's ILSVRC itself" else folder
