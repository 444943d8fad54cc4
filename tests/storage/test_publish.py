import errno
import multiprocessing
import os
import signal
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from luigi_ilsvrc.storage import publish
from luigi_ilsvrc.storage.publish import make_folder, new_file, new_folder, replace_file
from luigi_ilsvrc.storage.temporary import output_name, temporary_path

Publish = Callable[[Path], AbstractContextManager[Path]]
Fill = Callable[[Path], object]


def fill_file(path: Path) -> None:
    path.write_text("whole")


def fill_folder(path: Path) -> None:
    (path / "deep").mkdir()
    (path / "deep" / "file").write_text("whole")


KINDS = pytest.mark.parametrize(
    ("new", "fill"),
    [pytest.param(new_file, fill_file, id="file"), pytest.param(new_folder, fill_folder, id="folder")],
)


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "new" / "output"


def text_in(output: Path) -> str:
    return (output if output.is_file() else output / "deep" / "file").read_text()


def is_empty(path: Path) -> bool:
    return path.read_bytes() == b"" if path.is_file() else os.listdir(path) == []


# One process ---------------------------------------------------------------------------------------------------------


@KINDS
def test_an_output_appears_when_it_is_complete(output: Path, new: Publish, fill: Fill) -> None:
    with new(output) as path:
        fill(path)
        assert not output.exists()
    assert text_in(output) == "whole"
    assert os.listdir(output.parent) == ["output"]


@KINDS
def test_an_output_is_made_beside_its_place_and_empty_at_first(output: Path, new: Publish, fill: Fill) -> None:
    with new(output) as path:
        assert path.parent == output.parent
        assert output_name(path.name) == output.name
        assert is_empty(path)


@KINDS
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_nothing_is_left_of_an_output_that_fails_or_is_interrupted(
    output: Path, new: Publish, fill: Fill, error: type[BaseException]
) -> None:
    with pytest.raises(error), new(output) as path:
        fill(path)
        raise error
    assert os.listdir(output.parent) == []


@KINDS
def test_an_output_that_is_there_already_is_kept(output: Path, new: Publish, fill: Fill) -> None:
    for is_first in (True, False):
        with new(output) as path:
            if is_first:
                fill(path)
    assert text_in(output) == "whole"
    assert os.listdir(output.parent) == ["output"]


@KINDS
def test_an_empty_output_that_is_there_already_is_kept_too(output: Path, new: Publish, fill: Fill) -> None:
    with new(output):
        pass
    with new(output) as path:
        fill(path)
    assert is_empty(output)
    assert os.listdir(output.parent) == ["output"]


@pytest.mark.parametrize("kind", ["file", "folder"])
@KINDS
def test_what_somebody_has_put_under_the_name_is_kept(output: Path, new: Publish, fill: Fill, kind: str) -> None:
    output.parent.mkdir()
    with new(output) as path:
        fill(path)
        if kind == "folder":
            output.mkdir()
        (fill_file if kind == "file" else fill_folder)(output)
        before = output.stat().st_ino
    assert output.stat().st_ino == before
    assert os.listdir(output.parent) == ["output"]


# Links ---------------------------------------------------------------------------------------------------------------


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """A folder that is none of the build's business."""
    (tmp_path / "elsewhere").mkdir()
    fill_folder(tmp_path / "elsewhere")
    return tmp_path / "elsewhere"


@KINDS
@pytest.mark.parametrize("target", ["deep/file", "deep", "nothing"])
def test_a_link_under_the_name_is_kept_and_not_followed(
    output: Path, elsewhere: Path, new: Publish, fill: Fill, target: str
) -> None:
    output.parent.mkdir()
    output.symlink_to(elsewhere / target)
    with new(output) as path:
        fill(path)
    assert output.is_symlink()
    assert os.listdir(output.parent) == ["output"]
    assert sorted(map(str, elsewhere.rglob("*"))) == [f"{elsewhere}/deep", f"{elsewhere}/deep/file"]
    assert text_in(elsewhere) == "whole"


@KINDS
def test_links_under_the_old_temporary_names_are_not_followed(
    output: Path, elsewhere: Path, new: Publish, fill: Fill
) -> None:
    output.parent.mkdir()
    for ending in (".partial", ".partial.new"):
        output.with_name(output.name + ending).symlink_to(elsewhere)
    with new(output) as path:
        fill(path)
    assert text_in(output) == text_in(elsewhere) == "whole"


@KINDS
def test_a_link_that_has_the_temporary_name_is_an_error(
    output: Path, elsewhere: Path, new: Publish, fill: Fill, monkeypatch: pytest.MonkeyPatch
) -> None:
    output.parent.mkdir()
    planted = temporary_path(output)
    planted.symlink_to(elsewhere / "deep" / "file")
    monkeypatch.setattr(publish, "temporary_path", lambda path: planted)
    with pytest.raises(FileExistsError), new(output) as path:
        fill(path)
    assert text_in(elsewhere) == "whole"


def test_a_link_is_replaced_and_not_followed(output: Path, elsewhere: Path) -> None:
    output.parent.mkdir()
    output.symlink_to(elsewhere / "deep" / "file")
    replace_file(output, b"new")
    assert not output.is_symlink()
    assert output.read_bytes() == b"new"
    assert text_in(elsewhere) == "whole"


# A file that is replaced ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("durable", [True, False])
def test_a_file_is_written_in_place_of_the_former_one(output: Path, durable: bool) -> None:
    for contents in (b"long contents", b"new", b""):
        replace_file(output, contents, durable=durable)
        assert output.read_bytes() == contents
    assert os.listdir(output.parent) == ["output"]


def test_nothing_is_left_of_a_file_that_cannot_be_replaced(output: Path) -> None:
    output.mkdir(parents=True)
    with pytest.raises(OSError):
        replace_file(output, b"new")
    assert os.listdir(output.parent) == ["output"]
    assert output.is_dir()


# Folders -------------------------------------------------------------------------------------------------------------


def test_a_folder_is_made_with_its_parents_and_again_without_an_error(tmp_path: Path) -> None:
    for _ in range(2):
        make_folder(tmp_path / "a" / "b" / "c")
    assert (tmp_path / "a" / "b" / "c").is_dir()


@pytest.mark.parametrize("place", ["a", "a/b"])
def test_a_file_in_the_place_of_a_folder_is_an_error(tmp_path: Path, place: str) -> None:
    (tmp_path / place).parent.mkdir(exist_ok=True)
    (tmp_path / place).touch()
    with pytest.raises(NotADirectoryError):
        make_folder(tmp_path / "a" / "b")


# On the disk ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """The system calls that matter, in order: what was written to the disk, and what got its name."""
    noted: list[tuple[str, str]] = []

    def note(module: object, name: str, path_of: Callable[..., object]) -> None:
        call = getattr(module, name)

        def noting(*arguments: object, **options: object) -> object:
            noted.append((name, str(path_of(*arguments))))
            return call(*arguments, **options)

        monkeypatch.setattr(module, name, noting)

    note(os, "fsync", lambda descriptor: os.readlink(f"/proc/self/fd/{descriptor}"))
    note(os, "link", lambda source, target: target)
    note(publish, "_rename_without_replacing", lambda source, target: target)
    note(publish, "sync_file_system", lambda path: path)
    return noted


needs_proc = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="there is no /proc")


@needs_proc
def test_a_file_is_on_the_disk_before_it_has_its_name_and_its_folder_afterwards(
    output: Path, calls: list[tuple[str, str]]
) -> None:
    output.parent.mkdir()
    with new_file(output) as path:
        fill_file(path)
    assert calls == [("fsync", str(path)), ("link", str(output)), ("fsync", str(output.parent))]


@needs_proc
def test_a_folder_is_on_the_disk_by_one_call_before_it_has_its_name_and_its_parent_afterwards(
    output: Path, calls: list[tuple[str, str]]
) -> None:
    output.parent.mkdir()
    with new_folder(output) as path:
        fill_folder(path)
    assert calls == [
        ("sync_file_system", str(path)),
        ("_rename_without_replacing", str(output)),
        ("fsync", str(output.parent)),
    ]


@needs_proc
def test_a_new_parent_folder_is_on_the_disk_too(output: Path, calls: list[tuple[str, str]]) -> None:
    with new_file(output) as path:
        fill_file(path)
    assert calls[0] == ("fsync", str(output.parent.parent))


@needs_proc
def test_without_syncfs_each_file_of_a_folder_is_written_to_the_disk(
    output: Path, calls: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    output.parent.mkdir()
    monkeypatch.setattr(publish, "sync_file_system", lambda path: False)
    with new_folder(output) as path:
        fill_folder(path)
    before = calls[: calls.index(("_rename_without_replacing", str(output)))]
    assert {name for _, name in before} == {str(path), f"{path}/deep", f"{path}/deep/file"}


@KINDS
def test_an_output_that_cannot_be_written_to_the_disk_is_not_published(
    output: Path, new: Publish, fill: Fill, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(path: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    output.parent.mkdir()
    monkeypatch.setattr(os, "fsync", fail)
    monkeypatch.setattr(publish, "sync_file_system", fail)
    with pytest.raises(OSError) as raised, new(output) as path:
        fill(path)
    assert raised.value.errno == errno.EIO
    assert os.listdir(output.parent) == []


# File systems that have not everything -------------------------------------------------------------------------------


def refuse(code: int) -> Callable[..., None]:
    def call(*arguments: object, **options: object) -> None:
        raise OSError(code, os.strerror(code))

    return call


NO_LINKS = [errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV]
NO_FLAGS = [errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP]


@pytest.mark.parametrize("no_rename", [None, *NO_FLAGS])
@pytest.mark.parametrize("no_link", NO_LINKS)
@KINDS
def test_without_links_or_flags_an_output_is_published_once_all_the_same(
    output: Path, new: Publish, fill: Fill, no_link: int, no_rename: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "link", refuse(no_link))
    if no_rename is not None:
        monkeypatch.setattr(publish, "_rename_without_replacing", refuse(no_rename))
    test_an_output_that_is_there_already_is_kept(output, new, fill)


@pytest.mark.parametrize("code", NO_FLAGS)
@pytest.mark.parametrize("target", ["file", "folder", "link"])
@KINDS
def test_without_links_and_flags_nothing_is_replaced(
    output: Path, new: Publish, fill: Fill, code: int, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "link", refuse(errno.EPERM))
    monkeypatch.setattr(publish, "_rename_without_replacing", refuse(code))
    with new(output) as path:
        fill(path)
        if target == "file":
            output.touch()
        elif target == "folder":
            output.mkdir()
        else:
            output.symlink_to("nowhere")
        before = output.lstat().st_ino
    assert output.lstat().st_ino == before


def test_an_answer_to_a_link_that_got_lost_is_no_other_file(output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link = os.link

    def link_twice(source: Path, target: Path, **options: bool) -> None:
        link(source, target, **options)
        # So does an NFS client that has not heard the answer.
        link(source, target, **options)

    monkeypatch.setattr(os, "link", link_twice)
    with new_file(output) as path:
        fill_file(path)
    assert text_in(output) == "whole"
    assert os.listdir(output.parent) == ["output"]


def test_a_folder_that_cannot_be_synced_is_no_error(output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fsync = os.fsync

    def sync_files_alone(descriptor: int) -> None:
        if os.path.isdir(f"/proc/self/fd/{descriptor}"):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", sync_files_alone)
    with new_file(output) as path:
        fill_file(path)
    assert text_in(output) == "whole"


# Several processes ---------------------------------------------------------------------------------------------------


def die_while_writing(new: Publish, output: Path, fill: Fill) -> None:
    with new(output) as path:
        fill(path)
        os.kill(os.getpid(), signal.SIGKILL)


@KINDS
def test_what_a_killed_process_left_is_in_nobodys_way(output: Path, new: Publish, fill: Fill) -> None:
    process = multiprocessing.Process(target=die_while_writing, args=(new, output, fill))
    process.start()
    process.join()
    [left] = os.listdir(output.parent)
    assert output_name(left) == "output"
    with new(output) as path:
        assert is_empty(path)
        fill(path)
    assert text_in(output) == "whole"
    assert sorted(os.listdir(output.parent)) == ["output", left]


@KINDS
def test_of_two_at_once_the_first_to_end_publishes_and_the_other_discards_its_own(
    output: Path, new: Publish, fill: Fill
) -> None:
    with new(output) as slow:
        with new(output) as fast:
            assert slow != fast
            fill(fast)
        assert not is_empty(output)
    assert text_in(output) == "whole"
    assert os.listdir(output.parent) == ["output"]


def publish_own_number(new: Publish, output: Path, number: int) -> None:
    with new(output) as path:
        (path if path.is_file() else path / "number").write_text(str(number))


@KINDS
def test_of_many_processes_at_once_one_publishes_and_nothing_else_is_left(
    output: Path, new: Publish, fill: Fill
) -> None:
    processes = [multiprocessing.Process(target=publish_own_number, args=(new, output, n)) for n in range(8)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 8
    assert os.listdir(output.parent) == ["output"]
    assert int((output if output.is_file() else output / "number").read_text()) in range(8)


# Links ---------------------------------------------------------------------------------------------------------------


def test_a_link_is_made_unless_there_is_something(tmp_path: Path) -> None:
    (tmp_path / "target").mkdir()
    publish.new_link(tmp_path / "folder" / "link", "../target")
    assert (tmp_path / "folder" / "link").resolve() == tmp_path / "target"
    publish.new_link(tmp_path / "folder" / "link", "../other")
    assert (tmp_path / "folder" / "link").resolve() == tmp_path / "target"


def test_a_link_that_leads_nowhere_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "target").mkdir()
    (tmp_path / "link").symlink_to("gone")
    publish.new_link(tmp_path / "link", "target")
    assert (tmp_path / "link").resolve() == tmp_path / "target"


def test_a_link_can_be_replaced_at_once(tmp_path: Path) -> None:
    publish.replace_link(tmp_path / "link", "one")
    publish.replace_link(tmp_path / "link", "other")
    assert (tmp_path / "link").readlink() == Path("other")
    assert [path.name for path in tmp_path.iterdir()] == ["link"]


def test_a_folder_of_links_is_published_also_without_syncfs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publish, "sync_file_system", lambda path: False)
    with publish.new_folder(tmp_path / "folder") as folder:
        (folder / "link").symlink_to("gone")
    assert (tmp_path / "folder" / "link").readlink() == Path("gone")
