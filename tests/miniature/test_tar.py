import gzip

import pytest

from luigi_ilsvrc.dataset.tar_writer import tar_size
from luigi_ilsvrc.miniature.tar import TarMember, compress, write_tar
from tests.miniature.reading import members


@pytest.mark.parametrize("sizes", [[], [0], [1], [512], [511, 513], [8192], [9216], [10240, 1]])
def test_a_tar_has_the_size_that_was_calculated_before(sizes: list[int]) -> None:
    contents = {f"{number}.txt": b"x" * size for number, size in enumerate(sizes)}
    tar = b"".join(write_tar(TarMember(name, len(data), [data]) for name, data in contents.items()))
    assert len(tar) == tar_size(sizes)
    assert members(tar) == contents


def test_the_content_of_a_member_may_come_in_chunks() -> None:
    assert members(b"".join(write_tar([TarMember("a", 5, [b"ab", b"", b"cde"])]))) == {"a": b"abcde"}


def test_compressed_chunks_are_one_gzip_without_time_and_name() -> None:
    data = b"".join(compress([b"one", b"two"]))
    assert gzip.decompress(data) == b"onetwo"
    flags, time = data[3], data[4:8]
    assert (flags, time) == (0, bytes(4))
