from pathlib import Path

from tests.support.strace import Call, find_faults, parse

DATA = Path("/data")


def faults(trace: str) -> list[str]:
    lines = [line for line in trace.splitlines() if line]
    return find_faults(list(parse(lines)), DATA, lambda path: not path.name.endswith(".partial"))


def test_a_call_in_two_parts_is_one() -> None:
    lines = ["7 fsync(3</data/a> <unfinished ...>", '8 rename("/x", "/y") = 0', "7 <... fsync resumed>) = 0"]
    assert list(parse(lines)) == [
        Call(8, "rename", '"/x", "/y"', 1, 1),
        Call(7, "fsync", "3</data/a>", 0, 2),
    ]


def test_a_call_that_failed_and_other_lines_do_not_count() -> None:
    assert not list(parse(['7 rename("/x", "/y") = -1 ENOENT (No such file)', "7 +++ exited with 0 +++", "rubbish"]))


GOOD = """
7 openat(AT_FDCWD</>, "/data/a.partial", O_WRONLY|O_CREAT|O_EXCL, 0666) = 3</data/a.partial>
7 write(3</data/a.partial>, ""..., 5) = 5
7 fsync(3</data/a.partial>) = 0
7 linkat(AT_FDCWD</>, "/data/a.partial", AT_FDCWD</>, "/data/a", 0) = 0
7 fsync(4</data>) = 0
"""


def test_a_file_that_is_synced_before_and_its_folder_afterwards_is_durable() -> None:
    assert faults(GOOD) == []


def test_a_write_after_the_sync_is_found() -> None:
    lines = GOOD.splitlines()
    lines[2:4] = lines[3:1:-1]
    assert faults("\n".join(lines)) == ["/data/a: /data/a.partial is not on the disk before it gets its name"]


def test_a_sync_that_has_not_ended_is_no_sync() -> None:
    trace = GOOD.replace("7 fsync(3</data/a.partial>) = 0", "8 fsync(3</data/a.partial> <unfinished ...>")
    assert faults(f"{trace}8 <... fsync resumed>) = 0\n") == [
        "/data/a: /data/a.partial is not on the disk before it gets its name"
    ]


def test_a_folder_that_is_not_synced_is_found() -> None:
    assert faults(GOOD.replace("fsync(4</data>)", "fsync(4</>)")) == [
        "/data/a: its folder is not on the disk afterwards"
    ]


def test_the_sync_of_the_folder_for_another_file_does_not_count() -> None:
    other = GOOD.replace("/a", "/b")
    assert faults(GOOD.replace("7 fsync(4</data>) = 0\n", other)) == [
        "/data/a: its folder is not on the disk afterwards"
    ]


def test_a_file_system_that_is_synced_after_the_last_write_makes_a_folder_durable() -> None:
    trace = """
7 openat(AT_FDCWD</>, "/data/f.partial/x", O_WRONLY|O_CREAT, 0666) = 3</data/f.partial/x>
7 syncfs(5</data/f.partial>) = 0
7 renameat2(AT_FDCWD</>, "/data/f.partial", AT_FDCWD</>, "/data/f", RENAME_NOREPLACE) = 0
7 fsync(4</data>) = 0
"""
    assert faults(trace) == []
    assert faults(trace.replace("syncfs", "fsync")) == [
        "/data/f: /data/f.partial/x is not on the disk before it gets its name"
    ]


def test_an_output_that_is_written_in_place_is_found() -> None:
    assert faults('7 openat(AT_FDCWD</>, "/data/a", O_WRONLY|O_CREAT, 0666) = 3</data/a>') == [
        "/data/a is written under its own name (openat)"
    ]
