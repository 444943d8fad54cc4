"""An archive of the official layout out of Hugging Face's parquet files."""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from luigi_ilsvrc.dataset.archives import IMAGE_ARCHIVES
from luigi_ilsvrc.dataset.splits import SPLITS, TRAIN, VALIDATION
from luigi_ilsvrc.errors import BuildError
from luigi_ilsvrc.layouts import official
from luigi_ilsvrc.layouts.parquet import find_files, import_archive
from luigi_ilsvrc.layouts.parquet_import.archive import allocated_bytes
from luigi_ilsvrc.layouts.scan import scan_archive
from luigi_ilsvrc.layouts.tar import ArchiveError
from luigi_ilsvrc.progress import Progress, no_progress
from luigi_ilsvrc.storage.disk import DiskError
from luigi_ilsvrc.storage.manifest import Entry
from tests.layouts.archives import LABELS, SYNSETS
from tests.support.disks import mounted
from tests.support.parquet_files import Row, rows_of, write_files, write_rows, write_tables
from tests.support.source_images import tables_of

KILLED = """
import os, signal, sys
from pathlib import Path
from luigi_ilsvrc.layouts.parquet import find_files, import_archive
from tests.support.source_images import tables_of
source, folder, split, stage, share = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], sys.argv[4], float(sys.argv[5])

def kill(name, done, total, unit):
    if name == stage and done >= share * total:
        os.kill(os.getpid(), signal.SIGKILL)

files = find_files(source, split)
print(import_archive(files, split, tables_of(source), folder / "images.tar", folder / "state", kill, 1))
"""
"""Imports, and kills itself when a share of a stage is done."""


@pytest.fixture(scope="module")
def source(ilsvrc: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The miniature as parquet files, with its tables: read it, do not change it."""
    folder = tmp_path_factory.mktemp("parquet")
    for split in SPLITS:
        write_files(folder, split, rows_of(ilsvrc, split))
    for table in ilsvrc.glob("*.txt"):
        shutil.copy(table, folder)
    return folder


@pytest.fixture(scope="module")
def imported(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archives that an undisturbed import writes, by the names of their splits."""
    folder = tmp_path_factory.mktemp("imported")
    for split in SPLITS:
        run(source, folder, split, archive=folder / split)
    return folder


def run(
    source: Path,
    folder: Path,
    split: str,
    progress: Progress = no_progress,
    threads: int = 1,
    archive: Path | None = None,
) -> str:
    return import_archive(
        find_files(source, split),
        split,
        tables_of(source),
        archive or folder / "images.tar",
        folder / "state",
        progress,
        threads,
    )


def entries_in(archive: Path, split: str) -> dict[tuple[str, str], Entry]:
    found = {}
    scan = scan_archive(
        archive, split == TRAIN, lambda images: found.update({(it.tar, it.name): it.entry for it in images})
    )
    assert scan.error is None
    return found


# What is made --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("split", SPLITS)
def test_the_archive_has_the_same_images_as_the_official_one(
    ilsvrc: Path, source: Path, tmp_path: Path, split: str
) -> None:
    md5 = run(source, tmp_path, split)
    archive = tmp_path / "images.tar"
    assert md5 == hashlib.md5(archive.read_bytes()).hexdigest()
    assert entries_in(archive, split) == entries_in(ilsvrc / IMAGE_ARCHIVES[split].name, split)
    assert archive.stat().st_size == (ilsvrc / IMAGE_ARCHIVES[split].name).stat().st_size
    assert os.listdir(tmp_path) == ["images.tar"]


def test_the_archive_is_in_the_order_of_the_table_and_of_the_names(source: Path, imported: Path) -> None:
    tables = tables_of(source)
    images = official.index_train(imported / TRAIN, tables.synsets())
    labels = {synset: label for label, synset in enumerate(tables.synsets())}
    assert images == sorted(images, key=lambda image: (labels[image.synset], image.name))
    validation = official.index_validation(imported / VALIDATION, tables.validation_labels(), Path("table"))
    assert validation == sorted(validation)


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("threads", [2, 4])
def test_the_bytes_do_not_depend_on_the_number_of_threads(
    source: Path, imported: Path, tmp_path: Path, split: str, threads: int
) -> None:
    run(source, tmp_path, split, threads=threads)
    assert (tmp_path / "images.tar").read_bytes() == (imported / split).read_bytes()


def test_the_bytes_do_not_depend_on_how_the_rows_are_spread(ilsvrc: Path, imported: Path, tmp_path: Path) -> None:
    rows = list(reversed(rows_of(ilsvrc, TRAIN)))
    file = write_rows(tmp_path / "train-all.parquet", rows, len(rows), compression="none")
    import_archive([file], TRAIN, tables_of(ilsvrc), tmp_path / "images.tar", tmp_path / "state")
    assert (tmp_path / "images.tar").read_bytes() == (imported / TRAIN).read_bytes()


def test_progress_counts_the_bytes_of_files_images_and_archive(source: Path, tmp_path: Path) -> None:
    calls: list[tuple[str, int, int | None, str]] = []
    run(source, tmp_path, TRAIN, lambda *call: calls.append(call), threads=2)
    assert {call[0] for call in calls} <= {"reading", "importing", "verifying"}
    assert {call[3] for call in calls} == {"B"}
    done = [call[1] for call in calls if call[0] == "importing"]
    assert done == sorted(done)
    assert [call[2] for call in calls if call[0] == "importing"][-1] == done[-1]


# Interrupted ---------------------------------------------------------------------------------------------------------


def start(source: Path, folder: Path, split: str, stage: str = "never", share: float = 1) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", KILLED, *map(str, (source, folder, split, stage, share))]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.slow
@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize(
    ("stage", "share"), [("reading", 0.5), ("importing", 0.1), ("importing", 0.6), ("importing", 1)]
)
def test_an_import_that_was_killed_is_finished_by_the_next_with_the_same_bytes(
    source: Path, imported: Path, tmp_path: Path, split: str, stage: str, share: float
) -> None:
    killed = start(source, tmp_path, split, stage, share)
    assert killed.wait() == -signal.SIGKILL, killed.communicate()
    assert os.listdir(tmp_path) == ["state"]
    run(source, tmp_path, split)
    assert (tmp_path / "images.tar").read_bytes() == (imported / split).read_bytes()
    assert os.listdir(tmp_path) == ["images.tar"]


@pytest.mark.slow
def test_a_file_whose_images_are_on_the_disk_is_not_read_again(source: Path, imported: Path, tmp_path: Path) -> None:
    changed = tmp_path / "source"
    shutil.copytree(source, changed)
    assert start(changed, tmp_path, TRAIN, "importing", 0.6).wait() == -signal.SIGKILL
    overwrite(find_files(changed, TRAIN)[0])
    run(changed, tmp_path, TRAIN)
    assert (tmp_path / "images.tar").read_bytes() == (imported / TRAIN).read_bytes()


def overwrite(file: Path) -> None:
    """Change all bytes of a file, but neither its size nor its time."""
    status = file.stat()
    file.write_bytes(bytes(status.st_size))
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.mark.slow
def test_a_file_that_was_replaced_is_read_again_after_an_interruption(
    ilsvrc: Path, source: Path, tmp_path: Path
) -> None:
    changed = tmp_path / "source"
    shutil.copytree(source, changed)
    assert start(changed, tmp_path, TRAIN, "importing", 0.6).wait() == -signal.SIGKILL
    rows = [Row((row.contents or b"") + b"!", row.path, row.label) for row in rows_of(ilsvrc, TRAIN)]
    write_files(changed, TRAIN, rows)
    run(changed, tmp_path, TRAIN)
    run(changed, tmp_path / "afresh", TRAIN)
    assert (tmp_path / "images.tar").read_bytes() == (tmp_path / "afresh" / "images.tar").read_bytes()


def test_an_archive_of_files_that_were_replaced_is_removed_but_not_what_another_process_writes(
    source: Path, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    state.mkdir()
    of_others = {"0123456789abcdef.partial", "0123456789abcdef-train-00000-of-00003.parquet.written"}
    temporary = "train-00000-of-00003.parquet.csv.host-1-2-0a.partial"
    for name in {*of_others, temporary}:
        (state / name).touch()
    left: list[str] = []
    run(source, tmp_path, TRAIN, once("importing", 1, lambda: left.extend(os.listdir(state))))
    assert temporary in left
    assert of_others.isdisjoint(left)


def test_what_an_unfinished_archive_takes_on_the_disk_is_known(source: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    assert allocated_bytes(state) == 0
    taken: list[int] = []
    run(source, tmp_path, TRAIN, once("importing", 1, lambda: taken.append(allocated_bytes(state))))
    size = (tmp_path / "images.tar").stat().st_size
    # In whole blocks of the file system; tails of files may be kept elsewhere.
    assert abs(taken[0] - size) <= 1 << 16
    assert allocated_bytes(state) == 0


@pytest.mark.slow
def test_notes_that_are_damaged_are_made_again(source: Path, imported: Path, tmp_path: Path) -> None:
    assert start(source, tmp_path, TRAIN, "importing", 0.6).wait() == -signal.SIGKILL
    for notes in (tmp_path / "state").glob("*.csv"):
        notes.write_bytes(notes.read_bytes()[:-20])
    run(source, tmp_path, TRAIN)
    assert (tmp_path / "images.tar").read_bytes() == (imported / TRAIN).read_bytes()


@pytest.mark.slow
def test_an_unfinished_archive_that_was_removed_is_written_again(source: Path, imported: Path, tmp_path: Path) -> None:
    assert start(source, tmp_path, TRAIN, "importing", 0.6).wait() == -signal.SIGKILL
    [partial] = (tmp_path / "state").glob("*.partial")
    partial.unlink()
    run(source, tmp_path, TRAIN)
    assert (tmp_path / "images.tar").read_bytes() == (imported / TRAIN).read_bytes()


@pytest.mark.parametrize("split", SPLITS)
def test_two_processes_at_once_publish_one_archive(source: Path, imported: Path, tmp_path: Path, split: str) -> None:
    processes = [start(source, tmp_path, split) for _ in range(2)]
    results = [process.communicate() for process in processes]
    contents = (imported / split).read_bytes()
    assert [out.strip() for out, _ in results] == 2 * [hashlib.md5(contents).hexdigest()], results
    assert (tmp_path / "images.tar").read_bytes() == contents
    assert os.listdir(tmp_path) == ["images.tar"]


# What is there already -----------------------------------------------------------------------------------------------


def test_an_archive_that_is_there_and_right_stays(source: Path, imported: Path, tmp_path: Path) -> None:
    archive = Path(shutil.copy(imported / TRAIN, tmp_path / "images.tar"))
    before = archive.stat()
    assert run(source, tmp_path, TRAIN) == hashlib.md5(archive.read_bytes()).hexdigest()
    assert (archive.stat().st_ino, archive.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_another_archive_that_is_there_is_refused_and_stays(source: Path, imported: Path, tmp_path: Path) -> None:
    archive = Path(shutil.copy(imported / VALIDATION, tmp_path / "images.tar"))
    error = refusal(lambda: run(source, tmp_path, TRAIN))
    assert error.startswith(str(archive))
    assert "delete it" in error
    assert archive.read_bytes() == (imported / VALIDATION).read_bytes()


@pytest.mark.slow
def test_a_link_in_place_of_the_unfinished_archive_is_not_followed(source: Path, tmp_path: Path) -> None:
    assert start(source, tmp_path, TRAIN, "importing", 0.1).wait() == -signal.SIGKILL
    [partial] = (tmp_path / "state").glob("*.partial")
    other = tmp_path / "other"
    other.write_bytes(b"other")
    partial.unlink()
    partial.symlink_to(other)
    with pytest.raises(OSError, match="symbolic link"):
        run(source, tmp_path, TRAIN)
    assert other.read_bytes() == b"other"


# What goes wrong meanwhile -------------------------------------------------------------------------------------------


def once(stage: str, share: float, action: Callable[[], object]) -> Progress:
    """Return a progress callback that does something once, when a share of a stage is done."""
    actions, awaited = [action], stage

    def progress(stage: str, done: int, total: int | None, unit: str) -> None:
        if stage == awaited and total is not None and done >= share * total and actions:
            actions.pop()()

    return progress


def test_a_byte_of_the_unfinished_archive_that_changes_is_found_before_it_is_published(
    source: Path, imported: Path, tmp_path: Path
) -> None:
    def flip() -> None:
        [partial] = (tmp_path / "state").glob("*.partial")
        contents = bytearray(partial.read_bytes())
        contents[len(contents) // 2] ^= 1
        with partial.open("r+b") as file:
            file.write(contents)

    error = refusal(lambda: run(source, tmp_path, TRAIN, once("importing", 1, flip)))
    assert "is not as it was written" in error or "the archive is damaged" in error
    assert not (tmp_path / "images.tar").exists()
    run(source, tmp_path, TRAIN)
    assert (tmp_path / "images.tar").read_bytes() == (imported / TRAIN).read_bytes()


@pytest.mark.parametrize(
    ("stage", "share", "reason"),
    [
        ("reading", 1, "it was changed while it was read"),
        ("importing", 0, "it gives other images than when it was read"),
    ],
)
def test_a_file_that_changes_meanwhile_is_named(
    source: Path, imported: Path, tmp_path: Path, stage: str, share: float, reason: str
) -> None:
    changed = tmp_path / "source"
    shutil.copytree(source, changed)
    last = find_files(changed, TRAIN)[-1]

    def change() -> None:
        table = pyarrow.parquet.read_table(last)
        pyarrow.parquet.write_table(table.slice(0, len(table) - 1), last)

    assert refusal(lambda: run(changed, tmp_path, TRAIN, once(stage, share, change))).startswith(f"{last}: {reason}")
    assert not (tmp_path / "images.tar").exists()
    shutil.copy(source / "data" / last.name, last)
    run(changed, tmp_path, TRAIN)
    assert (tmp_path / "images.tar").read_bytes() == (imported / TRAIN).read_bytes()


MEASURED = """
import sys
from pathlib import Path
from luigi_ilsvrc.layouts.parquet import import_archive
from tests.support.source_images import tables_of
folder = Path(sys.argv[1])
import_archive([folder / "a.parquet"], "validation", tables_of(folder), folder / "images.tar", folder / "state")
print(*[line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")])
"""
"""Imports one file and prints the peak memory in kB."""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="there is no /proc")
def test_memory_does_not_grow_with_the_bytes_of_the_images(tmp_path: Path) -> None:
    peaks = []
    for count in (100, 3000):
        folder = tmp_path / str(count)
        folder.mkdir()
        write_tables(folder, SYNSETS[:1], SYNSETS[:1] * count)
        rows = [Row(os.urandom(100_000), f"ILSVRC2012_val_{number:08}.JPEG", 0) for number in range(1, count + 1)]
        write_rows(folder / "a.parquet", rows, 100)
        command = [sys.executable, "-c", MEASURED, str(folder)]
        peaks.append(int(subprocess.run(command, check=True, capture_output=True, text=True).stdout) * 1024)
    assert peaks[1] - peaks[0] < 100_000_000, peaks


def test_too_little_space_is_said_before_an_image_is_written(source: Path, tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", "64k") as disk:
        with pytest.raises(DiskError, match=f"^{disk}/state: [0-9,]+ bytes are needed on its disk, [0-9,]+ are free"):
            run(source, disk, TRAIN)
        assert list((disk / "state").glob("*.written")) == []


def test_what_is_written_is_kept_if_the_disk_is_full(source: Path, tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", "64k") as disk:
        (disk / "other").write_bytes(bytes(60 << 10))
        with pytest.raises(DiskError, match=r"No space left.*images\.tar is kept in .*state: free some space"):
            run(source, disk, TRAIN)


# What is refused -----------------------------------------------------------------------------------------------------

TRAIN_ROWS = [
    Row(b"tench", "n01440764_10_n01440764.JPEG", 0),
    Row(b"goldfish", "n01443537_22_n01443537.JPEG", 1),
    Row(b"another", "n01443537_3_n01443537.JPEG", 1),
]
VALIDATION_ROWS = [
    Row(bytes([number]), f"ILSVRC2012_val_{number:08}_{synset}.JPEG", SYNSETS.index(synset))
    for number, synset in enumerate(LABELS, start=1)
]


def refusal(call: Callable[[], object]) -> str:
    """Return the one line with which a call is refused."""
    with pytest.raises(BuildError) as raised:
        call()
    assert "\n" not in str(raised.value)
    return str(raised.value)


def refused(folder: Path, split: str, files: Sequence[Path]) -> str:
    """Return the one line with which files are refused; nothing is published."""
    tables = write_tables(folder, SYNSETS, LABELS)
    error = refusal(lambda: import_archive(files, split, tables, folder / "images.tar", folder / "state"))
    assert not (folder / "images.tar").exists()
    return error


BAD_TRAIN_ROWS: dict[str, tuple[Row, str]] = {
    "no path": (Row(b"x", None, 0), "no image.path"),
    "empty path": (Row(b"x", "", 0), "no image.path"),
    "other path": (Row(b"x", "tench.jpg", 0), "'tench.jpg'"),
    "validation path": (Row(b"x", "ILSVRC2012_val_00000001_n01440764.JPEG", 0), "ILSVRC2012_val_00000001_n01440764"),
    "two synsets": (Row(b"x", "n01440764_1_n01443537.JPEG", 0), "two synsets"),
    "unknown synset": (Row(b"x", "n02105855_1_n02105855.JPEG", 0), "n02105855 is not in the table of synsets"),
    "other label": (Row(b"x", "n01440764_1_n01440764.JPEG", 1), "is 1, but that of n01440764 is 0"),
    "no label": (Row(b"x", "n01440764_1_n01440764.JPEG", None), "is None, but that of n01440764 is 0"),
    "empty image": (Row(b"", "n01440764_1_n01440764.JPEG", 0), "n01440764_1.JPEG is empty"),
    "no image": (Row(None, "n01440764_1_n01440764.JPEG", 0), "n01440764_1.JPEG is empty"),
    "twice": (Row(b"x", "n01443537_3.JPEG", 1), "n01443537_3.JPEG is there twice"),
}
BAD_VALIDATION_ROWS: dict[str, tuple[Row, str]] = {
    "no path": (Row(b"x", None, 0), "no image.path"),
    "training path": (Row(b"x", "n01440764_1_n01440764.JPEG", 0), "n01440764_1_n01440764"),
    "number 0": (Row(b"x", "ILSVRC2012_val_00000000.JPEG", 0), "has no line 0"),
    "number 4": (Row(b"x", "ILSVRC2012_val_00000004.JPEG", 0), "has no line 4"),
    "other synset": (Row(b"x", "ILSVRC2012_val_00000002_n01443537.JPEG", 1), "labels it n01440764"),
    "other label": (Row(b"x", "ILSVRC2012_val_00000002.JPEG", 1), "is 1, but that of n01440764 is 0"),
}
BAD_ROWS = [
    pytest.param(split, rows, *case, id=f"{split}, {name}")
    for split, rows, cases in (
        (TRAIN, TRAIN_ROWS, BAD_TRAIN_ROWS),
        (VALIDATION, VALIDATION_ROWS, BAD_VALIDATION_ROWS),
    )
    for name, case in cases.items()
]


@pytest.mark.parametrize(("split", "rows", "row", "reason"), BAD_ROWS)
def test_a_row_that_does_not_fit_is_refused_with_file_and_row(
    tmp_path: Path, split: str, rows: list[Row], row: Row, reason: str
) -> None:
    file = write_rows(tmp_path / "a.parquet", [*rows, row], 2)
    error = refused(tmp_path, split, [file])
    assert error.startswith(f"{file}, row 3 (from 0): ")
    assert reason in error


def test_an_image_in_two_files_is_refused_with_both(tmp_path: Path) -> None:
    files = [write_rows(tmp_path / name, TRAIN_ROWS) for name in ("a.parquet", "b.parquet")]
    error = refused(tmp_path, TRAIN, files)
    assert error.startswith(f"{tmp_path}/b.parquet: n01440764_10.JPEG is in {tmp_path}/a.parquet too")


def test_a_synset_without_images_is_refused(tmp_path: Path) -> None:
    error = refused(tmp_path, TRAIN, [write_rows(tmp_path / "a.parquet", TRAIN_ROWS[:1])])
    assert error.startswith(f"{tmp_path}: 1 of the 2 synsets have no image in the parquet files, such as n01443537; ")


@pytest.mark.parametrize("rows", [VALIDATION_ROWS[:1] + VALIDATION_ROWS[2:], VALIDATION_ROWS[:1], []])
def test_fewer_validation_images_than_the_table_has_lines_are_refused(tmp_path: Path, rows: list[Row]) -> None:
    error = refused(tmp_path, VALIDATION, [write_rows(tmp_path / "a.parquet", rows)])
    missing = "ILSVRC2012_val_00000002.JPEG" if rows else "ILSVRC2012_val_00000001.JPEG"
    assert error.startswith(f"{tmp_path}: {len(rows)} validation images are in the parquet files, but {tmp_path}/")
    assert f"has 3 lines; {missing} is missing" in error


IMAGE = [{"bytes": b"x", "path": "n01440764_1.JPEG"}]
BAD_COLUMNS: dict[str, dict[str, object]] = {
    "none": {"text": ["x"]},
    "no label": {"image": IMAGE},
    "label as text": {"image": IMAGE, "label": ["tench"]},
    "bytes alone": {"image": [b"x"], "label": [0]},
    "no path": {"image": [{"bytes": b"x"}], "label": [0]},
    "no bytes": {"image": [{"path": "n01440764_1.JPEG"}], "label": [0]},
    "number as path": {"image": [{"bytes": b"x", "path": 1}], "label": [0]},
}


@pytest.mark.parametrize("columns", BAD_COLUMNS.values(), ids=BAD_COLUMNS)
def test_other_columns_are_refused_with_those_that_are_there(tmp_path: Path, columns: dict[str, object]) -> None:
    table = pyarrow.table(columns)
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    error = refused(tmp_path, TRAIN, [tmp_path / "a.parquet"])
    assert error.startswith(f"{tmp_path}/a.parquet: it needs the columns image, a struct of bytes and path, and label")
    assert all(f"{field.name}: {field.type}" in error for field in table.schema)


@pytest.mark.parametrize("share", [0, 0.01, 0.5, 0.99])
def test_a_file_that_is_cut_is_refused(tmp_path: Path, share: float) -> None:
    file = write_rows(tmp_path / "a.parquet", [Row(bytes(range(256)) * 200, *TRAIN_ROWS[0][1:])])
    os.truncate(file, int(share * file.stat().st_size))
    error = refused(tmp_path, TRAIN, [file])
    assert error.startswith(f"{file}: the file is truncated or damaged, or not parquet (")
    assert error.endswith("); download it again")


def test_a_file_whose_rows_are_damaged_is_refused(tmp_path: Path) -> None:
    contents = bytes(range(256)) * 200
    file = write_rows(tmp_path / "a.parquet", [Row(contents, *TRAIN_ROWS[0][1:])], compression="snappy")
    with file.open("r+b") as opened:
        opened.seek(4)
        opened.write(b"\xff" * 64)
    assert "truncated or damaged" in refused(tmp_path, TRAIN, [file])


def test_a_pointer_of_git_lfs_is_named_as_such(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 500000000\n")
    assert "git lfs pull" in refused(tmp_path, TRAIN, [tmp_path / "a.parquet"])


def test_a_link_to_nothing_and_a_folder_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").symlink_to(tmp_path / "missing")
    (tmp_path / "b.parquet").mkdir()
    assert refused(tmp_path, TRAIN, [tmp_path / "a.parquet"]).startswith(
        f"{tmp_path}/a.parquet: it cannot be read: No "
    )
    assert refused(tmp_path, TRAIN, [tmp_path / "b.parquet"]).startswith(f"{tmp_path}/b.parquet: ")


def test_of_several_files_that_are_refused_the_first_is_named(tmp_path: Path) -> None:
    files = [write_rows(tmp_path / "a.parquet", TRAIN_ROWS), tmp_path / "b.parquet", tmp_path / "c.parquet"]
    for file in files[1:]:
        file.write_bytes(b"none")
    for _ in range(5):
        assert refused(tmp_path, TRAIN, files).startswith(f"{files[1]}: ")


def test_without_pyarrow_the_command_that_installs_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(
        ArchiveError, match=r"^a\.parquet is read with pyarrow.*: pip install 'luigi-ilsvrc\[parquet\]'$"
    ):
        import_archive([Path("a.parquet")], TRAIN, tables_of(tmp_path), tmp_path / "images.tar", tmp_path / "state")
