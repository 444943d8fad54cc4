from dataclasses import replace

import pytest

from luigi_ilsvrc.download.download import open_server
from luigi_ilsvrc.download.source import FileVersion, HttpOptions, Reply, Source
from tests.download.helpers import BODY, NAME
from tests.support.hostile_server import HostileServer


@pytest.fixture
def source(server: HostileServer) -> Source:
    server.accept_ranges = "bytes"
    return open_server(server.url, NAME, None, HttpOptions(timeout=1))


def version_of(source: Source) -> FileVersion:
    with source.open() as reply:
        return reply.version


def bytes_of(reply: Reply) -> bytes:
    return b"".join(bytes(chunk) for chunk in reply.chunks)


def test_a_source_sends_the_whole_file(source: Source) -> None:
    with source.open() as reply:
        assert (reply.start, reply.version.total, bytes_of(reply)) == (0, len(BODY), BODY)


def test_a_source_sends_the_bytes_from_an_offset_to_the_end(source: Source) -> None:
    with source.open(100_000, version_of(source)) as reply:
        assert (reply.start, bytes_of(reply)) == (100_000, BODY[100_000:])


@pytest.mark.parametrize(("start", "end"), [(0, 1000), (100_000, 101_000), (1000, 300_000)])
def test_a_source_sends_the_bytes_between_two_offsets(start: int, end: int, source: Source) -> None:
    with source.open(start, version_of(source), end) as reply:
        assert (reply.start, reply.version.total, bytes_of(reply)) == (start, len(BODY), BODY[start:end])


def test_a_source_sends_the_whole_file_if_it_has_another_version(source: Source) -> None:
    earlier = replace(version_of(source), etag='"earlier"', modified="earlier")
    with source.open(100_000, earlier, 101_000) as reply:
        assert (reply.start, bytes_of(reply)) == (0, BODY)
        assert reply.version.merge(earlier) is None


@pytest.mark.parametrize("accept_ranges", ["bytes", "none", None])
def test_only_a_server_that_announces_ranges_permits_several_connections(
    accept_ranges: str | None, server: HostileServer
) -> None:
    server.accept_ranges = accept_ranges
    with open_server(server.url, NAME, None, HttpOptions(timeout=1)).open() as reply:
        assert (reply.parallel is not None) == (accept_ranges == "bytes")


def test_versions_that_agree_are_merged() -> None:
    one, other = FileVersion("a", total=3), FileVersion("a", etag='"x"')
    assert one.merge(other) == other.merge(one) == FileVersion("a", total=3, etag='"x"')


@pytest.mark.parametrize("other", [FileVersion("b", 3), FileVersion("a", 4), FileVersion("a", 3, modified="later")])
def test_versions_that_differ_are_not_merged(other: FileVersion) -> None:
    assert FileVersion("a", 3, modified="now").merge(other) is None
