"""What a verification finds."""

from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any


class Kind(Enum):
    """In which way a file is not as it was built."""

    DAMAGED = "damaged"
    MISSING = "missing"
    EXTRA = "extra"
    UNREADABLE = "unreadable"
    """The disk did not give it: that may pass, and says nothing of the file."""

    LEFTOVER = "leftover"
    """The unfinished output of a process that died: extra, and of no use."""


@dataclass(frozen=True)
class Finding:
    """One file that is not as it was built.

    Attributes
    ----------
    kind : Kind
        In which way.
    path : Path
        The file; or a folder, if all of it is missing.
    reason : str
        What is wrong with it.
    made_by : str
        The task that makes the file, as Luigi's command line takes it; empty if none does.
    to_remove : tuple of Path
        What a repair removes so that the task makes the file again.
    substitute : Path or None
        A file that a repair puts in the place of `path`: the manifest of an output that is right.
    """

    kind: Kind
    path: Path
    reason: str
    made_by: str = ""
    to_remove: tuple[Path, ...] = ()
    substitute: Path | None = None

    def __str__(self) -> str:
        origin = f"made by {self.made_by}" if self.made_by else "no task makes it"
        return f"{self.kind.value} {self.path}: {self.reason}; {origin}"

    def to_json(self) -> list[Any]:
        """Return the finding as JSON can hold it."""
        return [
            *(self.kind.value, str(self.path), self.reason, self.made_by, [str(path) for path in self.to_remove]),
            None if self.substitute is None else str(self.substitute),
        ]

    @classmethod
    def from_json(cls, values: list[Any]) -> "Finding":
        """Return the finding that `to_json` was called on."""
        kind, path, reason, made_by, to_remove, substitute = values
        return cls(
            *(Kind(kind), Path(path), reason, made_by, tuple(map(Path, to_remove))),
            None if substitute is None else Path(substitute),
        )


@dataclass
class Report:
    """What was read of an output, and what was found.

    Attributes
    ----------
    files, bytes, records : int
        How many files, bytes and records of shards were read.
    findings : list of Finding
        Empty if all is well.
    """

    files: int = 0
    bytes: int = 0
    records: int = 0
    findings: list[Finding] = field(default_factory=list)

    def add(self, kind: Kind, path: Path, reason: str) -> None:
        """Add a finding."""
        self.findings.append(Finding(kind, path, reason))
