"""The parts of a verification: errors in one hide no others, and a build may be verified a part a night."""

import json
import random
import shutil
from pathlib import Path

import pytest

from luigi_ilsvrc import VerifyBuild
from tests.reliability.flip import flip_a_byte, named, output_files
from tests.support.running import times
from tests.tasks.verification.commands import assert_whole_after_a_build, verifications, verify

PARTS = ("1/3", "2/3", "3/3")


# Errors --------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "training_images/n02058221",
        "validation_images",
        "training_bounding_boxes",
        "index/train",
        "index/train-plan-of-00008",
    ],
)
def test_a_file_in_the_place_of_a_folder_is_reported_and_hides_no_other_damage(
    data_dir: Path, built: Path, ilsvrc: Path, name: str
) -> None:
    dataset = data_dir / "ilsvrc2012"
    shutil.rmtree(dataset / name)
    (dataset / name).write_text("a file")
    others = {
        next((dataset / "training_images" / "n02105855").iterdir()),
        dataset / "tfrecords" / "validation-00001-of-00003",
        data_dir / "bounding_boxes.csv",
    }
    for path in others:
        flip_a_byte(path, random.Random(1))
    status, output = verify(data_dir, ilsvrc, "--repair", "true")
    assert status == 30, output
    assert "Traceback" not in output
    assert {dataset / name, *others} - named(output) == set()
    if (dataset / name).exists():
        # It is not of the build: only a person can remove it.
        assert "1 files are left that only you can" in output
        (dataset / name).unlink()
    assert_whole_after_a_build(data_dir, built, ilsvrc)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tfrecords/train-00002-of-00008", "training_images.tar", "index/build.json"])
def test_a_folder_in_the_place_of_a_file_is_reported_and_hides_no_other_damage(
    data_dir: Path, ilsvrc: Path, name: str
) -> None:
    dataset = data_dir / "ilsvrc2012"
    (dataset / name).unlink()
    (dataset / name).mkdir()
    other = next((dataset / "training_images" / "n02105855").iterdir())
    flip_a_byte(other, random.Random(1))
    status, output = verify(data_dir, ilsvrc)
    assert status == 30, output
    assert "Traceback" not in output
    assert other in named(output)
    assert str(dataset / name) in output


# A part of the build -------------------------------------------------------------------------------------------------


def names(data_dir: Path, ilsvrc: Path, part: str) -> set[str]:
    options = {"data_dir": data_dir, "source": str(ilsvrc), "train_shards": 8, "validation_shards": 3}
    return {task.name for task in VerifyBuild(**options, part=part).requires()}


@pytest.mark.slow
def test_every_output_is_in_exactly_one_part(built: Path, ilsvrc: Path) -> None:
    whole = names(built, ilsvrc, "1/1")
    parts = [names(built, ilsvrc, part) for part in PARTS]
    assert set.union(*parts) == whole
    assert sum(map(len, parts)) == len(whole)
    assert all(parts)


@pytest.mark.slow
def test_the_parts_verify_together_what_the_whole_does(data_dir: Path, ilsvrc: Path) -> None:
    counts: dict[str, int] = {"files": 0, "bytes": 0, "records": 0}
    for part in PARTS:
        status, output = verify(data_dir, ilsvrc, "--part", part)
        assert status == 0, output
        file = data_dir / "ilsvrc2012" / "verification" / f"2026-11-22-part-{part.replace('/', '-of-')}.json"
        verification = json.loads(file.read_text())
        assert verification["part"] == part
        counts = {name: counts[name] + verification[name] for name in counts}
    assert verify(data_dir, ilsvrc)[0] == 0
    whole = json.loads((data_dir / "ilsvrc2012" / "verification" / "2026-11-22.json").read_text())
    assert counts == {name: whole[name] for name in counts}


@pytest.mark.slow
def test_damage_is_found_by_some_part_whatever_is_damaged(data_dir: Path, built: Path, ilsvrc: Path) -> None:
    rng = random.Random(7)
    damaged = set(rng.sample([path for path in output_files(data_dir) if path.name != "build.json"], 10))
    for path in damaged:
        flip_a_byte(path, rng)
    found: set[Path] = set()
    for part in PARTS:
        found |= named(verify(data_dir, ilsvrc, "--part", part)[1])
    assert {path for path in damaged if found.isdisjoint({path, *path.parents})} == set()


@pytest.mark.slow
def test_a_part_that_verified_well_stands_for_no_other_and_is_not_repeated(data_dir: Path, ilsvrc: Path) -> None:
    assert verify(data_dir, ilsvrc, "--part", "1/3")[0] == 0
    before = times(data_dir)
    status, output = verify(data_dir, ilsvrc, "--part", "1/3")
    assert (status, "Did not run any tasks" in output) == (0, True), output
    assert times(data_dir) == before
    assert verify(data_dir, ilsvrc)[0] == 0
    assert verifications(data_dir) == ["2026-11-22-part-1-of-3.json", "2026-11-22.json"]


@pytest.mark.parametrize("part", ["0/3", "4/3", "3", "1/0", "a/b", "-1/3"])
def test_a_part_that_is_none_is_refused(tmp_path: Path, part: str) -> None:
    with pytest.raises(Exception, match="--part"):
        VerifyBuild(data_dir=tmp_path, part=part)
