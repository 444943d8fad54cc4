import re
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from luigi_ilsvrc.download.checksums import ChecksumError, read_checksums
from tests.download.helpers import BODY, NAME, md5_of

names = st.text(st.characters(exclude_characters="/\n\r\\\0", exclude_categories=["Cs"]), min_size=1).filter(
    lambda name: name.strip() and not set(name) <= {"."} and name[0] not in " \t*"
)
sums = st.binary(min_size=16, max_size=16).map(bytes.hex)


@given(
    entries=st.dictionaries(names, sums),
    capitals=st.booleans(),
    marker=st.sampled_from(["  ", " *"]),
    folder_prefix=st.sampled_from(["", "./", "a/b c/", "/data/"]),
    newline=st.sampled_from(["\n", "\r\n"]),
    filler=st.sampled_from(["", "# a comment\n", "\n", " \r\n"]),
)
def test_what_md5sum_writes_is_read(
    tmp_path_factory: pytest.TempPathFactory,
    entries: dict[str, str],
    capitals: bool,
    marker: str,
    folder_prefix: str,
    newline: str,
    filler: str,
) -> None:
    path = tmp_path_factory.mktemp("sums") / "MD5SUMS"
    lines = [
        f"{md5.upper() if capitals else md5}{marker}{folder_prefix}{name}{newline}{filler}"
        for name, md5 in entries.items()
    ]
    path.write_bytes("".join(lines).encode())
    assert read_checksums(path) == entries


def test_the_output_of_md5sum_is_read(folder: Path) -> None:
    listing = subprocess.run(["md5sum", f"./{NAME}"], cwd=folder, capture_output=True, check=True).stdout
    (folder / "MD5SUMS").write_bytes(listing)
    assert read_checksums(folder / "MD5SUMS") == {NAME: md5_of(BODY)}


@pytest.mark.parametrize("line", ["no sum", "d41d8cd98f00b204e9800998ecf8427e", "d41d8cd98f00  x", f"{'0' * 40}  sha1"])
def test_the_error_for_an_invalid_line_names_the_file_and_the_line(line: str, tmp_path: Path) -> None:
    path = tmp_path / "MD5SUMS"
    path.write_text(f"# sums\n{'0' * 32}  good.tar\n{line}\n")
    with pytest.raises(ChecksumError, match=re.escape(f"{path}, line 3")):
        read_checksums(path)


def test_two_sums_for_one_name_are_an_error(tmp_path: Path) -> None:
    path = tmp_path / "MD5SUMS"
    path.write_text(f"{'0' * 32}  old/x.tar\n{'1' * 32}  new/x.tar\n")
    with pytest.raises(ChecksumError, match=r"MD5SUMS, line 2: .*x.tar"):
        read_checksums(path)


def test_a_missing_file_of_checksums_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ChecksumError, match="MD5SUMS: No such file"):
        read_checksums(tmp_path / "MD5SUMS")
