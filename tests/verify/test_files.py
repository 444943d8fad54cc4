import shutil
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from luigi_ilsvrc.findings import Kind, Report
from luigi_ilsvrc.storage.manifest import Files, read_files
from luigi_ilsvrc.verify.files import Examine, examine_nothing, verify_files


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
def expected(folder: Path) -> Files:
    return read_files(folder)


def verify(output: Path, expected: Files | None, examine: Examine = examine_nothing) -> Report:
    report = Report()
    verify_files(output, expected, examine, report)
    return report


def found(report: Report) -> list[tuple[Kind, Path]]:
    return [(finding.kind, finding.path) for finding in report.findings]


def flip(path: Path, position: int) -> None:
    damaged = bytearray(path.read_bytes())
    damaged[position] ^= 0x10
    path.write_bytes(damaged)


def test_an_output_as_it_has_to_be_has_no_findings(folder: Path, expected: Files) -> None:
    assert verify(folder, expected) == Report(files=5, bytes=sum(entry.size for entry in expected.values()))


def test_the_entries_of_all_files_are_returned(folder: Path, expected: Files) -> None:
    assert verify_files(folder, None, examine_nothing, Report()) == expected


def test_a_single_file_is_verified_like_a_folder(folder: Path) -> None:
    image = folder / "n0" / "0.JPEG"
    expected = read_files(image)
    assert found(verify(image, expected)) == []
    flip(image, 30)
    assert found(verify(image, expected)) == [(Kind.DAMAGED, image)]


def test_a_flipped_byte_is_found_wherever_it_is(folder: Path, expected: Files) -> None:
    path = folder / "n1" / "3.JPEG"
    whole = path.read_bytes()
    for position in range(0, len(whole), 10):
        flip(path, position)
        assert found(verify(folder, expected)) == [(Kind.DAMAGED, path)]
        path.write_bytes(whole)


def test_a_missing_and_an_extra_file_are_named(folder: Path, expected: Files) -> None:
    (folder / "n0" / "0.JPEG").rename(folder / "n0" / "other.JPEG")
    assert sorted(found(verify(folder, expected)), key=str) == sorted(
        [(Kind.MISSING, folder / "n0" / "0.JPEG"), (Kind.EXTRA, folder / "n0" / "other.JPEG")], key=str
    )


def test_a_missing_class_folder_is_one_finding(folder: Path, expected: Files) -> None:
    shutil.rmtree(folder / "n0")
    assert found(verify(folder, expected)) == [(Kind.MISSING, folder / "n0")]


def test_hidden_files_are_passed_over(folder: Path, expected: Files) -> None:
    (folder / ".DS_Store").write_bytes(b"x")
    (folder / ".cache").mkdir()
    (folder / ".cache" / "y").write_bytes(b"x")
    assert found(verify(folder, expected)) == []


def test_class_folders_may_be_links(folder: Path, expected: Files, tmp_path: Path) -> None:
    (folder / "n0").rename(tmp_path / "elsewhere")
    (folder / "n0").symlink_to(tmp_path / "elsewhere")
    assert found(verify(folder, expected)) == []


@pytest.mark.parametrize("kind", ["broken link", "link to a folder"])
def test_what_cannot_be_read_as_a_file_is_named_and_hides_no_others(folder: Path, expected: Files, kind: str) -> None:
    first, last = folder / "n0" / "0.JPEG", folder / "n1" / "3.JPEG"
    first.unlink()
    first.symlink_to("nowhere" if kind == "broken link" else folder / "n1")
    flip(last, 40)
    kinds = {path: kind for kind, path in found(verify(folder, expected))}
    assert kinds.keys() >= {first, last}
    assert kinds[last] is Kind.DAMAGED


def test_a_disk_that_gives_a_file_at_the_second_attempt_is_no_damage(
    folder: Path, expected: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, failed = Path.read_bytes, set[Path]()

    def fail_once(path: Path) -> bytes:
        if path not in failed:
            failed.add(path)
            raise OSError(5, "Input/output error")
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", fail_once)
    assert found(verify(folder, expected)) == []
    assert len(failed) == 5


def test_a_disk_that_does_not_give_a_file_says_nothing_of_the_file(
    folder: Path, expected: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(path: Path) -> bytes:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(Path, "read_bytes", fail)
    assert {kind for kind, _ in found(verify(folder, expected))} == {Kind.UNREADABLE}


def test_what_an_examination_finds_wrong_is_damage(folder: Path, expected: Files) -> None:
    def examine(name: str, contents: bytes) -> str | None:
        return "it is too small" if name == "n0/2.JPEG" else None

    assert found(verify(folder, expected, examine)) == [(Kind.DAMAGED, folder / "n0" / "2.JPEG")]
    assert found(verify(folder, None, examine)) == [(Kind.DAMAGED, folder / "n0" / "2.JPEG")]


def test_if_nothing_is_known_of_its_files_an_output_is_only_examined(folder: Path) -> None:
    (folder / "n0" / "0.JPEG").unlink()
    flip(folder / "n0" / "2.JPEG", 40)
    assert found(verify(folder, None)) == []
