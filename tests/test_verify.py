import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from luigi_ilsvrc import verify
from luigi_ilsvrc.dataset.images import as_rgb_jpeg
from luigi_ilsvrc.findings import Kind, Report
from luigi_ilsvrc.formats import tfrecord
from luigi_ilsvrc.formats.plan import PlannedImage
from luigi_ilsvrc.formats.shard import write_shard
from luigi_ilsvrc.layouts.index import ImageLocation
from luigi_ilsvrc.layouts.reader import ImageReader
from luigi_ilsvrc.storage.manifest import Entry, build_manifest, entry_of, write_manifest


def jpeg(number: int) -> bytes:
    """A JPEG that is the same for the same number."""
    buffer = BytesIO()
    Image.linear_gradient("L").resize((8 + number, 8)).save(buffer, "JPEG")
    return buffer.getvalue()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of five images in two class folders."""
    for number in range(5):
        path = tmp_path / "output" / f"n{number % 2}" / f"{number}.JPEG"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(jpeg(number))
    return tmp_path / "output"


@pytest.fixture
def manifest(folder: Path, tmp_path: Path) -> Path:
    path = tmp_path / "manifest.csv"
    write_manifest(build_manifest(folder), path)
    return path


def found(report: Report) -> list[tuple[Kind, Path]]:
    return [(finding.kind, finding.path) for finding in report.findings]


def sizes(folder: Path) -> dict[str, int]:
    return {str(path.relative_to(folder)): path.stat().st_size for path in folder.rglob("*.JPEG")}


def flip(path: Path, position: int) -> None:
    damaged = bytearray(path.read_bytes())
    damaged[position] ^= 0x10
    path.write_bytes(damaged)


# Files and folders ---------------------------------------------------------------------------------------------------


def test_an_output_as_it_was_written_has_no_findings(folder: Path, manifest: Path) -> None:
    report = verify.verify_output(folder, manifest)
    assert report == Report(files=5, bytes=sum(sizes(folder).values()))


def test_a_flipped_byte_is_found_wherever_it_is(folder: Path, manifest: Path) -> None:
    path = folder / "n1" / "3.JPEG"
    whole = path.read_bytes()
    for position in range(0, len(whole), 10):
        flip(path, position)
        assert found(verify.verify_output(folder, manifest)) == [(Kind.DAMAGED, path)]
        path.write_bytes(whole)


def test_a_missing_and_an_extra_file_are_named(folder: Path, manifest: Path) -> None:
    (folder / "n0" / "0.JPEG").rename(folder / "n0" / "other.JPEG")
    report = verify.verify_output(folder, manifest)
    assert found(report) == [(Kind.MISSING, folder / "n0" / "0.JPEG"), (Kind.EXTRA, folder / "n0" / "other.JPEG")]


def test_a_missing_class_folder_is_one_finding(folder: Path, manifest: Path) -> None:
    shutil.rmtree(folder / "n0")
    assert found(verify.verify_output(folder, manifest)) == [(Kind.MISSING, folder / "n0")]


def test_a_missing_output_is_one_finding(folder: Path, manifest: Path) -> None:
    shutil.rmtree(folder)
    assert found(verify.verify_output(folder, manifest)) == [(Kind.MISSING, folder)]


def test_hidden_files_are_passed_over(folder: Path, manifest: Path) -> None:
    (folder / ".DS_Store").write_bytes(b"x")
    (folder / ".cache").mkdir()
    (folder / ".cache" / "y").write_bytes(b"x")
    assert found(verify.verify_output(folder, manifest)) == []


def test_a_missing_manifest_is_named(folder: Path, manifest: Path) -> None:
    manifest.unlink()
    assert found(verify.verify_output(folder, manifest)) == [(Kind.MISSING, manifest)]


def test_a_damaged_manifest_alone_is_named(folder: Path, manifest: Path) -> None:
    whole = manifest.read_bytes()
    for position in range(len(whole)):
        flip(manifest, position)
        assert found(verify.verify_output(folder, manifest)) == [(Kind.DAMAGED, manifest)], position
        manifest.write_bytes(whole)


def test_a_damaged_manifest_does_not_hide_damage_to_the_files(folder: Path, manifest: Path) -> None:
    whole = manifest.read_bytes()
    damaged = folder / "n0" / "2.JPEG"
    flip(damaged, 40)
    for position in range(len(whole)):
        flip(manifest, position)
        expected = [(Kind.DAMAGED, manifest), (Kind.DAMAGED, damaged)]
        assert found(verify.verify_output(folder, manifest)) == expected, position
        manifest.write_bytes(whole)


@pytest.mark.parametrize("cut", [slice(0), slice(40), slice(-1), slice(10, None)])
def test_files_are_not_measured_by_a_manifest_of_which_no_copy_is_whole(
    folder: Path, manifest: Path, cut: slice
) -> None:
    manifest.write_bytes(manifest.read_bytes()[cut])
    assert found(verify.verify_output(folder, manifest)) == [(Kind.DAMAGED, manifest)]


# Images --------------------------------------------------------------------------------------------------------------


def test_images_of_a_user_are_measured_by_the_index_and_decoded(folder: Path) -> None:
    indexed = sizes(folder)
    assert found(verify.verify_images(folder, None, indexed)) == []
    (folder / "n0" / "0.JPEG").write_bytes(jpeg(0) + b"x")
    (folder / "n0" / "4.JPEG").unlink()
    (folder / "n1" / "3.JPEG").write_bytes(b"<html>")
    indexed["n1/3.JPEG"] = 6
    assert found(verify.verify_images(folder, None, indexed)) == [
        (Kind.DAMAGED, folder / "n0" / "0.JPEG"),
        (Kind.DAMAGED, folder / "n1" / "3.JPEG"),
        (Kind.MISSING, folder / "n0" / "4.JPEG"),
    ]


def test_an_image_that_cannot_be_decoded_is_named_although_it_is_as_it_was_written(
    folder: Path, tmp_path: Path
) -> None:
    path = folder / "n1" / "1.JPEG"
    path.write_bytes(path.read_bytes()[:200])
    write_manifest(build_manifest(folder), tmp_path / "manifest.csv")
    assert found(verify.verify_images(folder, tmp_path / "manifest.csv", sizes(folder))) == [(Kind.DAMAGED, path)]


def test_if_the_index_cannot_be_trusted_the_manifest_decides(folder: Path, manifest: Path) -> None:
    assert found(verify.verify_images(folder, manifest, None)) == []
    flip(folder / "n0" / "0.JPEG", 30)
    assert found(verify.verify_images(folder, manifest, None)) == [(Kind.DAMAGED, folder / "n0" / "0.JPEG")]


def test_class_folders_may_be_links(folder: Path, manifest: Path, tmp_path: Path) -> None:
    (folder / "n0").rename(tmp_path / "elsewhere")
    (folder / "n0").symlink_to(tmp_path / "elsewhere")
    assert found(verify.verify_images(folder, manifest, sizes(folder))) == []


# Shards --------------------------------------------------------------------------------------------------------------

BOXES: list[tuple[float, ...]] = [(0.1, 0.2, 0.3, 0.4), (0.0, 0.0, 1.0, 0.5)]


def cmyk(quality: int) -> bytes:
    buffer = BytesIO()
    Image.linear_gradient("L").resize((9, 8)).convert("CMYK").save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


IMAGES = {
    **{f"n01440764_{number}.JPEG": jpeg(number) for number in range(4)},
    "n01440764_4.JPEG": cmyk(90),
}


def plan_of(images: Mapping[str, bytes]) -> list[PlannedImage]:
    """Plan images that lie in a class folder, the second with two boxes."""
    return [
        PlannedImage(
            ImageLocation(name, "n01440764", f"training_images/n01440764/{name}", 0, len(image)),
            1,
            "tench",
            BOXES if number == 1 else [],
        )
        for number, (name, image) in enumerate(images.items())
    ]


class Shard:
    """A shard of five images, the last of which was re-encoded, and what it is verified with."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "shard"
        self.planned = plan_of(IMAGES)
        self.recorded: dict[str, Entry] = {}
        self._directory = directory
        self.folder = directory / "training_images" / "n01440764"
        self.folder.mkdir(parents=True)
        for name, image in IMAGES.items():
            (self.folder / name).write_bytes(image)
        self.write(self.planned)

    def write(self, planned: Sequence[PlannedImage]) -> None:
        with ImageReader(self._directory, self._directory / "training_images") as reader:
            write_shard(tfrecord, reader, planned, self.path)

    def verify(self, planned: list[PlannedImage] | None = None) -> Report:
        with ImageReader(self._directory, self._directory / "training_images") as reader:
            return verify.verify_shard(
                tfrecord, self.path, planned or self.planned, reader, lambda location: self.recorded.get(location.name)
            )

    def reason(self, planned: list[PlannedImage] | None = None) -> str:
        report = self.verify(planned)
        assert found(report) == [(Kind.DAMAGED, self.path)]
        return report.findings[0].reason


@pytest.fixture
def shard(tmp_path: Path) -> Shard:
    return Shard(tmp_path)


def test_a_shard_as_it_was_planned_has_no_findings(shard: Shard) -> None:
    assert shard.verify() == Report(files=1, bytes=shard.path.stat().st_size, records=5)


def test_every_flipped_byte_of_a_shard_is_found(shard: Shard) -> None:
    whole = shard.path.read_bytes()
    for position in range(len(whole)):
        flip(shard.path, position)
        shard.reason()
        shard.path.write_bytes(whole)


def test_a_shard_truncated_at_any_byte_is_found(shard: Shard) -> None:
    whole = shard.path.read_bytes()
    for size in [*range(14), len(whole) // 2, len(whole) - 1]:
        shard.path.write_bytes(whole[:size])
        shard.reason()


def test_without_a_trusted_plan_the_checksums_of_the_records_are_checked(shard: Shard, tmp_path: Path) -> None:
    flip(shard.path, 100)
    with ImageReader(tmp_path, tmp_path) as reader:
        report = verify.verify_shard(tfrecord, shard.path, None, reader, lambda location: None)
    assert found(report) == [(Kind.DAMAGED, shard.path)]


def test_bytes_behind_the_last_record_are_found(shard: Shard) -> None:
    shard.path.write_bytes(shard.path.read_bytes() + b"abc")
    shard.reason()


def test_a_record_missing_at_the_end_is_found(shard: Shard) -> None:
    shard.write(shard.planned[:-1])
    assert "4 of 5 records" in shard.reason()


def test_a_record_missing_in_the_middle_is_found(shard: Shard) -> None:
    shard.write(shard.planned[:1] + shard.planned[2:])
    assert "record 1, planned as n01440764_1.JPEG" in shard.reason()


def test_a_record_too_many_is_found(shard: Shard) -> None:
    assert "more than the 4 records" in shard.reason(shard.planned[:-1])


@pytest.mark.parametrize(
    "change", [{"label": 2}, {"text": "shark"}, {"boxes": [(0.1, 0.2, 0.3, 0.5), (0.0, 0.0, 1.0, 0.5)]}, {"boxes": []}]
)
@pytest.mark.parametrize("number", [1, 4])
def test_a_record_that_says_something_else_than_the_plan_is_found(
    shard: Shard, change: dict[str, Any], number: int
) -> None:
    planned = [*shard.planned]
    planned[number] = replace(planned[number], boxes=BOXES)
    shard.write(planned)
    planned[number] = replace(planned[number], **change)
    assert f"record {number}, planned as n01440764_{number}.JPEG" in shard.reason(planned)


def test_a_record_of_another_image_of_the_same_size_is_found(shard: Shard) -> None:
    image = shard.folder / "n01440764_2.JPEG"
    original = image.read_bytes()
    image.write_bytes(original[:-3] + bytes([original[-3] ^ 1]) + original[-2:])
    shard.write(shard.planned)
    image.write_bytes(original)
    assert "record 2, planned as n01440764_2.JPEG" in shard.reason()


def test_a_record_that_is_no_example_is_found(shard: Shard) -> None:
    with tfrecord.open_writer(shard.path) as writer:
        writer.write([b"\xff\xff\xff"])
    assert "record 0" in shard.reason()


def test_a_shard_is_not_damaged_because_the_images_file_is(shard: Shard) -> None:
    shard.recorded = {name: entry_of(image) for name, image in IMAGES.items()}
    flip(shard.folder / "n01440764_1.JPEG", 300)
    assert found(shard.verify()) == []


def test_a_shard_whose_images_are_gone_is_compared_with_the_plan(shard: Shard) -> None:
    for image in shard.folder.iterdir():
        image.unlink()
    assert found(shard.verify()) == []
    planned = [replace(image, label=2) for image in shard.planned]
    assert "record 0" in shard.reason(planned)


def test_an_image_that_another_version_of_pillow_has_re_encoded_is_no_damage(shard: Shard) -> None:
    image = shard.folder / "n01440764_4.JPEG"
    image.write_bytes(as_rgb_jpeg(cmyk(80)).encoded)
    shard.write([*shard.planned[:-1], replace(shard.planned[-1], location=location_of(image))])
    image.write_bytes(IMAGES[image.name])
    assert found(shard.verify()) == []


def location_of(image: Path) -> ImageLocation:
    file = f"training_images/{image.parent.name}/{image.name}"
    return ImageLocation(image.name, image.parent.name, file, 0, image.stat().st_size)


def test_a_missing_shard_is_named(shard: Shard) -> None:
    shard.path.unlink()
    assert found(shard.verify()) == [(Kind.MISSING, shard.path)]


def test_records_are_counted_as_progress(shard: Shard, tmp_path: Path) -> None:
    reports: list[tuple[str, int, int | None, str]] = []
    with ImageReader(tmp_path, tmp_path / "training_images") as reader:
        verify.verify_shard(
            tfrecord, shard.path, shard.planned, reader, lambda location: None, lambda *report: reports.append(report)
        )
    assert reports[-1] == ("verifying", 5, 5, "records")


def test_a_plan_holds_the_images_of_the_index_once_each_in_any_order() -> None:
    images = [image.location for image in plan_of(IMAGES)]
    assert verify.same_images(images, reversed(images))
    assert not verify.same_images(images, images[1:])
    assert not verify.same_images(images, [*images[1:], images[1]])
    assert not verify.same_images(images, [*images, images[0]])


# Archives ------------------------------------------------------------------------------------------------------------


def test_an_archive_is_compared_by_its_md5_sum(tmp_path: Path) -> None:
    archive = tmp_path / "training_images.tar"
    archive.write_bytes(b"abc")
    md5 = "900150983cd24fb0d6963f7d28e17f72"
    assert verify.verify_archive(archive, md5.upper()) == Report(files=1, bytes=3)
    flip(archive, 1)
    assert found(verify.verify_archive(archive, md5)) == [(Kind.DAMAGED, archive)]
