"""A format is added by an entry in `formats.table.FORMATS`, and by nothing else."""

import os
import re
import shutil
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest

from luigi_ilsvrc import BuildAll
from luigi_ilsvrc.cleanup import abandoned_outputs
from luigi_ilsvrc.dataset.archives import TRAIN_ARCHIVE, VALIDATION_ARCHIVE
from luigi_ilsvrc.dataset.paths import DataSetPaths
from luigi_ilsvrc.formats.table import FORMATS
from luigi_ilsvrc.inventory import find_extra, output_folders
from luigi_ilsvrc.tasks.disk_space import bytes_needed
from tests.formats import lines
from tests.reliability.flip import named
from tests.support.abandoned import left_by_a_dead_process
from tests.support.changed_tables import luigi_with
from tests.support.running import LOG_TASKS, SHARDS, contents

REGISTER = (
    "from luigi_ilsvrc.formats.table import FORMATS; from tests.formats import lines; FORMATS[lines.NAME] = lines"
)
BOTH = ("--formats", f"tfrecord,{lines.NAME}")


def build(data_dir: Path, ilsvrc: Path, *options: object) -> tuple[int, str]:
    """Run BuildAll with two worker processes, as a process that has the format in its table."""
    return luigi_with(REGISTER, "BuildAll", *places(data_dir, ilsvrc), "--workers", "2", *options)


def verify(data_dir: Path, ilsvrc: Path, *options: object) -> tuple[int, str]:
    date = ("--date", "2026-11-22")
    return luigi_with(REGISTER, "VerifyBuild", *places(data_dir, ilsvrc), "--workers", "2", *date, *options)


def places(data_dir: Path, ilsvrc: Path) -> tuple[object, ...]:
    return ("--data-dir", data_dir, "--source", ilsvrc, *SHARDS, *BOTH)


@pytest.fixture(scope="module")
def built_in_both(built: Path, ilsvrc: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A build of TFRecords, and then of the new format beside them: read it, do not change it."""
    data_dir = tmp_path_factory.mktemp("new-format") / "data"
    shutil.copytree(built, data_dir, copy_function=shutil.copy2)
    status, output = build(data_dir, ilsvrc)
    assert status == 0, output
    return data_dir


@pytest.fixture
def changed(built_in_both: Path, tmp_path: Path) -> Path:
    """A copy of that build, to be changed."""
    return Path(shutil.copytree(built_in_both, tmp_path / "data", copy_function=shutil.copy2))


@pytest.fixture
def in_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FORMATS, lines.NAME, lines)


def shards_of(data_dir: Path) -> list[Path]:
    return sorted((data_dir / "ilsvrc2012" / lines.FOLDER).iterdir())


# It is built ---------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_worker_processes_build_its_shards_and_leave_the_others_as_they_are(built_in_both: Path, built: Path) -> None:
    assert sorted(path.name for path in shards_of(built_in_both)) == [
        *(f"train-{shard}-of-8.txt" for shard in range(8)),
        *(f"validation-{shard}-of-3.txt" for shard in range(3)),
    ]
    found = contents(built_in_both)
    assert {name: found[name] for name in contents(built)} == contents(built)


@pytest.mark.slow
def test_its_records_hold_every_image_once(built_in_both: Path) -> None:
    records = [record for shard in shards_of(built_in_both) for record in lines.read_records(shard)]
    images = {
        path.name: path.read_bytes()
        for folders in ("training_images", "validation_images")
        for path in (built_in_both / "ilsvrc2012" / folders).glob("*/*")
    }
    assert sorted(record.split(b" ")[0].decode() for record in records) == sorted(images)
    unchanged = [record for record in records if lines.image_in(record) == images[record.split(b" ")[0].decode()]]
    # Those that the miniature plants as PNG or CMYK are re-encoded.
    assert 90 <= len(unchanged) < len(records) == 115


@pytest.mark.slow
def test_each_shard_has_the_images_of_the_tfrecord_shard_of_its_number(built_in_both: Path, tensorflow: Any) -> None:
    for shard in range(8):
        path = built_in_both / "ilsvrc2012" / "tfrecords" / f"train-{shard:05}-of-00008"
        names = [
            tensorflow.train.Example.FromString(record.numpy()).features.feature["image/filename"].bytes_list.value[0]
            for record in tensorflow.data.TFRecordDataset(str(path))
        ]
        ours = built_in_both / "ilsvrc2012" / lines.FOLDER / f"train-{shard}-of-8.txt"
        assert [record.split(b" ")[0] for record in lines.read_records(ours)] == names


@pytest.mark.slow
def test_it_is_built_alone_each_shard_by_a_worker_process(built_in_both: Path, ilsvrc: Path, tmp_path: Path) -> None:
    status, output = build(tmp_path, ilsvrc, "--formats", lines.NAME, *LOG_TASKS)
    assert status == 0, output
    assert len(set(re.findall(r"\[pid (\d+)\] Worker .* running   LinesShard", output))) == 8 + 3
    assert not (tmp_path / "ilsvrc2012" / "tfrecords").exists()
    assert contents(tmp_path / "ilsvrc2012" / lines.FOLDER) == contents(built_in_both / "ilsvrc2012" / lines.FOLDER)


@pytest.mark.slow
def test_a_second_build_does_nothing(changed: Path, ilsvrc: Path) -> None:
    status, output = build(changed, ilsvrc)
    assert (status, "Did not run any tasks" in output) == (0, True), output


@pytest.mark.slow
def test_one_shard_is_built_by_its_own_command(changed: Path, built_in_both: Path, ilsvrc: Path) -> None:
    shard = changed / "ilsvrc2012" / lines.FOLDER / "train-3-of-8.txt"
    shard.unlink()
    register = f"{REGISTER}; from luigi_ilsvrc.tasks.shards import all_shards_of; all_shards_of(lines.NAME)"
    status, output = luigi_with(
        register,
        *("LinesShard", "--split", "train", "--shard", "3", "--num-shards", "8"),
        *("--data-dir", changed, "--source", ilsvrc),
    )
    assert status == 0, output
    assert contents(changed) == contents(built_in_both)


# It is verified and repaired -----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_whole_build_verifies(changed: Path, ilsvrc: Path) -> None:
    status, output = verify(changed, ilsvrc)
    assert status == 0, output


@pytest.mark.slow
def test_a_damaged_line_is_found_and_repaired(changed: Path, built_in_both: Path, ilsvrc: Path) -> None:
    shard = changed / "ilsvrc2012" / lines.FOLDER / "train-2-of-8.txt"
    flip_in_line(shard, re_encoded=False)
    status, output = verify(changed, ilsvrc, "--repair", "true")
    assert (status, named(output)) == (30, {shard}), output
    assert "LinesShard --split train --shard 2 --num-shards 8" in output
    assert not shard.exists()
    status, output = build(changed, ilsvrc)
    assert status == 0, output
    assert shard.read_bytes() == (built_in_both / "ilsvrc2012" / lines.FOLDER / shard.name).read_bytes()
    assert verify(changed, ilsvrc)[0] == 0


def re_encoded_lines(shard: Path) -> list[bytes]:
    """Return the records whose images are not those of the class folders."""
    folders = shard.parents[1]

    def original(record: bytes) -> bytes:
        return next(folders.glob(f"*_images/*/{record.split()[0].decode()}")).read_bytes()

    return [record for record in lines.read_records(shard) if lines.image_in(record) != original(record)]


def flip_in_line(shard: Path, *, re_encoded: bool) -> None:
    """Change the last pixels of an image, which remains one that decodes."""
    changed = re_encoded_lines(shard)
    record = next(record for record in lines.read_records(shard) if (record in changed) == re_encoded)
    image = bytearray(lines.image_in(record))
    image[-10] ^= 0x02
    damaged = record[: record.rindex(b" ") + 1] + b64encode(image)
    shard.write_bytes(shard.read_bytes().replace(record, damaged))


@pytest.mark.slow
def test_a_build_removes_its_leftovers(changed: Path, built_in_both: Path, ilsvrc: Path) -> None:
    left_by_a_dead_process(changed / "ilsvrc2012" / lines.FOLDER / "train-2-of-8.txt")
    status, output = build(changed, ilsvrc)
    assert status == 0, output
    assert contents(changed) == contents(built_in_both)


# It is counted -------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("in_table")
def test_its_leftovers_are_unfinished_outputs(tmp_path: Path) -> None:
    folder = tmp_path / "ilsvrc2012" / lines.FOLDER
    folder.mkdir(parents=True)
    (folder / "train-0-of-8.txt").touch()
    left = left_by_a_dead_process(folder / "train-1-of-8.txt")
    left_by_a_dead_process(folder / "notes")
    assert list(abandoned_outputs(DataSetPaths(tmp_path), max_age=3600)) == [left]


@pytest.mark.usefixtures("in_table")
def test_only_files_of_other_names_than_its_shards_are_extra(tmp_path: Path) -> None:
    folder = tmp_path / "ilsvrc2012" / lines.FOLDER
    folder.mkdir(parents=True)
    for name in ("train-0-of-8.txt", "train-00000-of-00008"):
        (folder / name).touch()
    found = [finding.path for item in output_folders(DataSetPaths(tmp_path)) for finding in find_extra(item)]
    assert found == [folder / "train-00000-of-00008"]


@pytest.mark.usefixtures("in_table")
def test_its_shards_count_in_the_disk_space_that_a_build_needs(ilsvrc: Path, tmp_path: Path) -> None:
    options = {"data_dir": tmp_path, "source": str(ilsvrc), "train_shards": 8, "validation_shards": 3}
    needs = bytes_needed(BuildAll(**options, formats=lines.NAME))
    folder = tmp_path / "ilsvrc2012" / lines.FOLDER
    assert needs[folder / "train"] == os.path.getsize(ilsvrc / TRAIN_ARCHIVE.name)
    assert needs[folder / "validation"] == os.path.getsize(ilsvrc / VALIDATION_ARCHIVE.name)


@pytest.mark.usefixtures("in_table")
def test_shards_that_are_there_need_no_more_disk_space(ilsvrc: Path, tmp_path: Path) -> None:
    folder = tmp_path / "ilsvrc2012" / lines.FOLDER
    folder.mkdir(parents=True)
    for shard in range(4):
        (folder / f"train-{shard}-of-8.txt").touch()
    options = {"data_dir": tmp_path, "source": str(ilsvrc), "train_shards": 8, "validation_shards": 3}
    needs = bytes_needed(BuildAll(**options, formats=lines.NAME))
    assert needs[folder / "train"] == os.path.getsize(ilsvrc / TRAIN_ARCHIVE.name) // 2
