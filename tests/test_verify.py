import shutil
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from luigi_ilsvrc import shards, tar_index, verify
from luigi_ilsvrc.images import as_rgb_jpeg
from luigi_ilsvrc.manifest import describe, write_manifest
from luigi_ilsvrc.shards import PlannedImage
from luigi_ilsvrc.tar_index import ImageLocation
from luigi_ilsvrc.verify import DAMAGED, EXTRA, LEFTOVER, MISSING


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
    write_manifest(describe(folder), path)
    return path


def found(report: verify.Report) -> list[tuple[str, Path]]:
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
    assert report == verify.Report(files=5, bytes=sum(sizes(folder).values()))


def test_a_flipped_byte_is_found_wherever_it_is(folder: Path, manifest: Path) -> None:
    path = folder / "n1" / "3.JPEG"
    whole = path.read_bytes()
    for position in range(0, len(whole), 10):
        flip(path, position)
        assert found(verify.verify_output(folder, manifest)) == [(DAMAGED, path)]
        path.write_bytes(whole)


def test_a_missing_and_an_extra_file_are_named(folder: Path, manifest: Path) -> None:
    (folder / "n0" / "0.JPEG").rename(folder / "n0" / "other.JPEG")
    report = verify.verify_output(folder, manifest)
    assert found(report) == [(MISSING, folder / "n0" / "0.JPEG"), (EXTRA, folder / "n0" / "other.JPEG")]


def test_a_missing_class_folder_is_one_finding(folder: Path, manifest: Path) -> None:
    shutil.rmtree(folder / "n0")
    assert found(verify.verify_output(folder, manifest)) == [(MISSING, folder / "n0")]


def test_a_missing_output_is_one_finding(folder: Path, manifest: Path) -> None:
    shutil.rmtree(folder)
    assert found(verify.verify_output(folder, manifest)) == [(MISSING, folder)]


def test_hidden_files_are_passed_over(folder: Path, manifest: Path) -> None:
    (folder / ".DS_Store").write_bytes(b"x")
    (folder / ".cache").mkdir()
    (folder / ".cache" / "y").write_bytes(b"x")
    assert found(verify.verify_output(folder, manifest)) == []


def test_a_missing_manifest_is_named(folder: Path, manifest: Path) -> None:
    manifest.unlink()
    assert found(verify.verify_output(folder, manifest)) == [(MISSING, manifest)]


def test_a_damaged_manifest_alone_is_named(folder: Path, manifest: Path) -> None:
    whole = manifest.read_bytes()
    for position in range(len(whole)):
        flip(manifest, position)
        assert found(verify.verify_output(folder, manifest)) == [(DAMAGED, manifest)], position
        manifest.write_bytes(whole)


def test_a_damaged_manifest_does_not_hide_damage_to_the_files(folder: Path, manifest: Path) -> None:
    whole = manifest.read_bytes()
    damaged = folder / "n0" / "2.JPEG"
    flip(damaged, 40)
    for position in range(len(whole)):
        flip(manifest, position)
        assert found(verify.verify_output(folder, manifest)) == [(DAMAGED, manifest), (DAMAGED, damaged)], position
        manifest.write_bytes(whole)


@pytest.mark.parametrize("cut", [slice(0), slice(40), slice(-1), slice(10, None)])
def test_files_are_not_measured_by_a_manifest_of_which_no_copy_is_whole(
    folder: Path, manifest: Path, cut: slice
) -> None:
    manifest.write_bytes(manifest.read_bytes()[cut])
    assert found(verify.verify_output(folder, manifest)) == [(DAMAGED, manifest)]


# Images --------------------------------------------------------------------------------------------------------------


def test_images_of_a_user_are_measured_by_the_index_and_decoded(folder: Path) -> None:
    indexed = sizes(folder)
    assert found(verify.verify_images(folder, None, indexed)) == []
    (folder / "n0" / "0.JPEG").write_bytes(jpeg(0) + b"x")
    (folder / "n0" / "4.JPEG").unlink()
    (folder / "n1" / "3.JPEG").write_bytes(b"<html>")
    indexed["n1/3.JPEG"] = 6
    assert found(verify.verify_images(folder, None, indexed)) == [
        (DAMAGED, folder / "n0" / "0.JPEG"),
        (DAMAGED, folder / "n1" / "3.JPEG"),
        (MISSING, folder / "n0" / "4.JPEG"),
    ]


def test_an_image_that_cannot_be_decoded_is_named_although_it_is_as_it_was_written(
    folder: Path, tmp_path: Path
) -> None:
    path = folder / "n1" / "1.JPEG"
    path.write_bytes(path.read_bytes()[:200])
    write_manifest(describe(folder), tmp_path / "manifest.csv")
    assert found(verify.verify_images(folder, tmp_path / "manifest.csv", sizes(folder))) == [(DAMAGED, path)]


def test_without_a_trustworthy_index_the_manifest_decides(folder: Path, manifest: Path) -> None:
    assert found(verify.verify_images(folder, manifest, None)) == []
    flip(folder / "n0" / "0.JPEG", 30)
    assert found(verify.verify_images(folder, manifest, None)) == [(DAMAGED, folder / "n0" / "0.JPEG")]


def test_class_folders_may_be_links(folder: Path, manifest: Path, tmp_path: Path) -> None:
    (folder / "n0").rename(tmp_path / "elsewhere")
    (folder / "n0").symlink_to(tmp_path / "elsewhere")
    assert found(verify.verify_images(folder, manifest, sizes(folder))) == []


def test_files_can_be_trusted_that_are_as_the_manifest_says(folder: Path, manifest: Path) -> None:
    flip(folder / "n0" / "0.JPEG", 30)
    assert verify.is_as_written(folder, ["n0/2.JPEG"], manifest)
    assert not verify.is_as_written(folder, ["n0/2.JPEG", "n0/0.JPEG"], manifest)
    assert not verify.is_as_written(folder, ["n0/7.JPEG"], manifest)
    flip(manifest, 3)
    assert not verify.is_as_written(folder, ["n0/2.JPEG"], manifest)


# Shards --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def planned() -> list[PlannedImage]:
    """Four images, the second with two boxes."""
    boxes: list[tuple[float, ...]] = [(0.1, 0.2, 0.3, 0.4), (0.0, 0.0, 1.0, 0.5)]
    return [
        PlannedImage(
            ImageLocation(f"n01440764_{number}.JPEG", "n01440764", "x.tar", 0, len(jpeg(number))),
            *(1, "tench"),
            boxes if number == 1 else [],
        )
        for number in range(4)
    ]


def write(path: Path, images: list[PlannedImage]) -> Path:
    import tensorflow

    with tensorflow.io.TFRecordWriter(str(path)) as writer:
        for image in images:
            number = int(image.location.name[10:-5])
            writer.write(b"".join(shards.serialize_example(image, as_rgb_jpeg(jpeg(number)))))
    return path


@pytest.fixture
def shard(planned: list[PlannedImage], tmp_path: Path) -> Path:
    return write(tmp_path / "shard", planned)


def reason(shard: Path, planned: list[PlannedImage] | None) -> str:
    report = verify.verify_shard(shard, planned)
    assert found(report) == [(DAMAGED, shard)]
    return report.findings[0].reason


def test_a_shard_as_it_was_planned_has_no_findings(shard: Path, planned: list[PlannedImage]) -> None:
    assert verify.verify_shard(shard, planned) == verify.Report(files=1, bytes=shard.stat().st_size, records=4)


def test_a_flipped_byte_of_a_shard_is_found_wherever_it_is(shard: Path) -> None:
    whole = shard.read_bytes()
    for position in range(0, len(whole), 5):
        flip(shard, position)
        reason(shard, None)
        shard.write_bytes(whole)


def test_a_shard_truncated_at_any_byte_is_found(shard: Path, planned: list[PlannedImage]) -> None:
    whole = shard.read_bytes()
    for size in [*range(14), len(whole) // 2, len(whole) - 1]:
        shard.write_bytes(whole[:size])
        reason(shard, planned)


def test_bytes_behind_the_last_record_are_found(shard: Path, planned: list[PlannedImage]) -> None:
    shard.write_bytes(shard.read_bytes() + b"abc")
    assert "ends within the record" in reason(shard, planned)


def test_a_record_dropped_from_the_end_is_found(shard: Path, planned: list[PlannedImage]) -> None:
    write(shard, planned[:-1])
    assert reason(shard, planned) == "it ends after 3 of 4 records"


def test_a_record_dropped_from_the_middle_is_found(shard: Path, planned: list[PlannedImage]) -> None:
    write(shard, planned[:1] + planned[2:])
    assert reason(shard, planned) == "record 1: it is n01440764_2.JPEG, the plan says n01440764_1.JPEG"


def test_a_record_too_many_is_found(shard: Path, planned: list[PlannedImage]) -> None:
    assert reason(shard, planned[:-1]) == "it holds more than the 3 records that are planned"


@pytest.mark.parametrize(
    ("change", "features"),
    [
        ({"label": 2}, "image/class/label, image/object/bbox/label"),
        ({"text": "shark"}, "image/class/text"),
        ({"boxes": [(0.1, 0.2, 0.3, 0.5), (0.0, 0.0, 1.0, 0.5)]}, "image/object/bbox/ymax"),
    ],
)
def test_a_feature_that_is_not_as_planned_is_named(
    shard: Path, planned: list[PlannedImage], change: dict[str, object], features: str
) -> None:
    planned[1] = PlannedImage(**{**vars(planned[1]), **change})
    assert reason(shard, planned) == f"record 1: n01440764_1.JPEG is not as planned: {features}"


def test_a_record_that_is_no_example_is_found(shard: Path, planned: list[PlannedImage]) -> None:
    import tensorflow

    with tensorflow.io.TFRecordWriter(str(shard)) as writer:
        writer.write(b"\xff\xff\xff")
    assert reason(shard, planned) == "record 0: it is no Example"


def test_a_missing_shard_is_named(shard: Path, planned: list[PlannedImage]) -> None:
    shard.unlink()
    assert found(verify.verify_shard(shard, planned)) == [(MISSING, shard)]


def test_a_plan_holds_the_images_of_the_index_once_each_in_any_order(planned: list[PlannedImage]) -> None:
    images = [image.location for image in planned]
    assert verify.same_images(images, reversed(images))
    assert not verify.same_images(images, images[1:])
    assert not verify.same_images(images, [*images[1:], images[1]])
    assert not verify.same_images(images, [*images, images[0]])


# Archives, and nothing else ------------------------------------------------------------------------------------------


def test_an_archive_is_measured_by_its_md5_sum(tmp_path: Path) -> None:
    archive = tmp_path / "training_images.tar"
    archive.write_bytes(b"abc")
    md5 = "900150983cd24fb0d6963f7d28e17f72"
    assert verify.verify_archive(archive, md5.upper()) == verify.Report(files=1, bytes=3)
    flip(archive, 1)
    assert found(verify.verify_archive(archive, md5)) == [(DAMAGED, archive)]


def test_what_is_not_of_the_build_is_named(tmp_path: Path) -> None:
    for name in ("known", "known.partial", "other", "other.partial", ".hidden"):
        (tmp_path / name).touch()
    findings = verify.find_extra(tmp_path, {"known"}.__contains__, ".partial")
    assert [(finding.kind, finding.path.name) for finding in findings] == [
        (LEFTOVER, "known.partial"),
        (EXTRA, "other"),
        (EXTRA, "other.partial"),
    ]


def test_a_folder_that_is_missing_holds_nothing_extra(tmp_path: Path) -> None:
    assert list(verify.find_extra(tmp_path / "none", {"known"}.__contains__, ".partial")) == []


def test_the_index_is_read_as_the_plan_is(planned: list[PlannedImage], tmp_path: Path) -> None:
    images = [image.location for image in planned]
    tar_index.write_index(images, ["n01440764"], tmp_path)
    assert verify.same_images(tar_index.read_index(tmp_path, "n01440764"), images)
