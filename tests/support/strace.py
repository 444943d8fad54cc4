"""Reads what strace wrote, and tells which outputs were published before they were on the disk.

The trace is that of ``strace -f -y`` (see `OPTIONS`): each line has the process, the call with the path of each file
descriptor, and its result. A call that another process interrupts has two lines.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

_WRITES = ("write", "pwrite64", "writev", "pwritev", "ftruncate", "sendfile", "copy_file_range", "fallocate")
_SYNCS = ("fsync", "fdatasync")
_SYNCS_OF_ALL = ("syncfs", "sync")
_PUBLISHES = ("link", "linkat", "rename", "renameat", "renameat2")
_OPENS = ("open", "openat", "creat")

IsFinal = Callable[[Path], bool]
"""Tells the path of an output from that of something that is being made."""

OPTIONS = ("-f", "-y", "-s", "0", "-e", f"trace={','.join((*_WRITES, *_SYNCS, *_SYNCS_OF_ALL, *_PUBLISHES, *_OPENS))}")
"""What strace has to be called with, beside ``-o <file>``."""

_LINE = re.compile(r"(\d+) +(.*)")
_UNFINISHED = re.compile(r"(.*) <unfinished \.\.\.>$")
_RESUMED = re.compile(r"<\.\.\. \w+ resumed>(.*)")
_CALL = re.compile(r"(\w+)\((.*)\) += +(-?\d+)")
_DESCRIPTOR = re.compile(r"\d+<([^>]*)>")
_STRING = re.compile(r'"((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True)
class Call:
    """One call that succeeded.

    Attributes
    ----------
    pid : int
        The process or thread.
    name : str
        The call.
    arguments : str
        As strace writes them.
    begin, end : int
        The lines of the trace where it began and where it had ended.
    """

    pid: int
    name: str
    arguments: str
    begin: int
    end: int

    @property
    def descriptors(self) -> list[Path]:
        """The paths of its file descriptors."""
        return [Path(path) for path in _DESCRIPTOR.findall(self.arguments)]

    @property
    def strings(self) -> list[Path]:
        """The paths that it was given by name."""
        return [Path(path) for path in _STRING.findall(self.arguments)]


def parse(lines: Iterable[str]) -> Iterator[Call]:
    """Yield the calls that succeeded, in the order of their ends."""
    begun: dict[int, tuple[int, str]] = {}
    for number, line in enumerate(lines):
        match = _LINE.match(line.rstrip("\n"))
        if match is None:
            continue
        pid, text = int(match[1]), match[2]
        if unfinished := _UNFINISHED.match(text):
            begun[pid] = (number, unfinished[1])
            continue
        begin = number
        if resumed := _RESUMED.match(text):
            begin, start = begun.pop(pid, (number, ""))
            text = start + resumed[1]
        call = _CALL.match(text)
        if call and int(call[3]) >= 0:
            yield Call(pid, call[1], call[2], begin, number)


@dataclass(frozen=True)
class Publication:
    """An output gets its name."""

    call: Call
    temporary: Path
    path: Path


def publications(calls: Iterable[Call], directory: Path, is_final: IsFinal) -> Iterator[Publication]:
    """Yield the links and renames to names below a folder that are those of outputs."""
    for call in calls:
        if call.name in _PUBLISHES and len(call.strings) == 2:
            temporary, path = call.strings
            if path.is_relative_to(directory) and is_final(path) and not _is_below(path, directory, is_final):
                yield Publication(call, temporary, path)


def find_faults(calls: list[Call], directory: Path, is_final: IsFinal) -> list[str]:
    """Return what is not durable, in words: one line for each output.

    An output has to be on the disk before it gets its name: each of its files after its last write. Its folder has to
    be on the disk afterwards, before the same process publishes something else. No output is written under its own
    name.
    """
    published = list(publications(calls, directory, is_final))
    faults = [
        f"{path} is written under its own name ({call.name})"
        for call in calls
        for path in _written(call)
        if path.is_relative_to(directory) and is_final(path) and not _is_below(path, directory, is_final)
    ]
    for number, publication in enumerate(published):
        late = _not_synced(calls, publication)
        faults += [f"{publication.path}: {path} is not on the disk before it gets its name" for path in late]
        others = (it.call.begin for it in published[number + 1 :] if it.call.pid == publication.call.pid)
        if not _is_folder_synced(calls, publication, next(others, None)):
            faults.append(f"{publication.path}: its folder is not on the disk afterwards")
    return list(dict.fromkeys(faults))


def _written(call: Call) -> list[Path]:
    """Return the file that a call changes."""
    if call.name in _OPENS and "O_CREAT" in call.arguments:
        return call.strings[:1]
    if call.name == "copy_file_range":
        return call.descriptors[1:2]
    return call.descriptors[:1] if call.name in _WRITES else []


def _named(call: Call) -> list[Path]:
    """Return the file that a call gives another name: it may have been written under the one before."""
    return call.strings[1:2] if call.name in _PUBLISHES else []


def _is_below(path: Path, directory: Path, is_final: IsFinal) -> bool:
    """Tell whether a file lies in a folder that is being made."""
    return any(not is_final(parent) for parent in path.parents if parent.is_relative_to(directory))


def _not_synced(calls: list[Call], publication: Publication) -> list[Path]:
    last: dict[Path, int] = {}
    for call in calls:
        if call.end < publication.call.begin:
            for path in _written(call) or _named(call):
                if path.is_relative_to(publication.temporary):
                    last[path] = call.end
    return [path for path, end in last.items() if not _is_synced(calls, path, end, publication.call.begin)]


def _is_synced(calls: list[Call], path: Path, after: int, before: int) -> bool:
    return any(
        after < call.begin and call.end < before and (call.name in _SYNCS_OF_ALL or path in call.descriptors)
        for call in calls
        if call.name in (*_SYNCS, *_SYNCS_OF_ALL)
    )


def _is_folder_synced(calls: list[Call], publication: Publication, before: int | None) -> bool:
    return any(
        call.begin > publication.call.end
        and (before is None or call.end < before)
        and call.pid == publication.call.pid
        and (call.name in _SYNCS_OF_ALL or (call.name in _SYNCS and publication.path.parent in call.descriptors))
        for call in calls
    )
