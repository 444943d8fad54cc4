"""Removing what a verification found damaged, so that the next build makes it again."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from luigi_ilsvrc.dataset.archives import ALL_ARCHIVES
from luigi_ilsvrc.dataset.paths import DataSetPaths
from luigi_ilsvrc.findings import Finding, Kind
from luigi_ilsvrc.storage.publish import replace_file


@dataclass(frozen=True)
class Repair:
    """What a repair did.

    Attributes
    ----------
    removed : int
        How many damaged outputs and manifests it removed.
    restored : int
        How many manifests of outputs that are right it wrote again.
    left : int
        How many files are left that only a person can restore or remove.
    """

    removed: int
    restored: int
    left: int

    def __str__(self) -> str:
        text = (
            f"{self.removed} damaged outputs and manifests are removed, {self.restored} manifests are restored: run "
            "BuildAll, which makes just those again"
        )
        if self.left:
            text += f"; {self.left} files are left that only you can restore or remove"
        return text


def repair(findings: Sequence[Finding], paths: DataSetPaths) -> Repair:
    """Remove damaged outputs with their manifests, and write the manifests of outputs that are right again.

    An output that holds a file which no task makes is kept, with its manifest. A damaged archive is moved to its
    quarantine path, from which it is removed once it was downloaded again.
    """
    extra = [finding.path for finding in findings if finding.kind is Kind.EXTRA]
    outputs = {path for finding in findings if not _holds(finding, extra) for path in finding.to_remove}
    quarantine = {paths.archive(archive): paths.quarantine(archive) for archive in ALL_ARCHIVES}
    removed = sum(_remove(output, quarantine.get(output)) for output in sorted(outputs))
    restored = sum(_restore(finding) for finding in findings if finding.path not in outputs)
    left = [it.path for it in findings if not (it.to_remove or it.substitute) and it.kind is not Kind.LEFTOVER]
    return Repair(removed, restored, sum(path.exists() for path in left))


def _holds(finding: Finding, extra: Sequence[Path]) -> bool:
    """Tell whether what has to be removed holds a file that no task makes."""
    return any(path.is_relative_to(output) for output in finding.to_remove for path in extra)


def _restore(finding: Finding) -> bool:
    if finding.substitute is None:
        return False
    replace_file(finding.path, finding.substitute.read_bytes())
    return True


def _remove(path: Path, quarantine: Path | None) -> bool:
    """Remove an output; of a link, the link alone; an archive goes into quarantine. Tell whether it was there."""
    if quarantine is not None and path.exists():
        path.rename(quarantine)
    elif path.is_symlink() or path.is_file():
        path.unlink()
    elif path.is_dir():
        shutil.rmtree(path)
    else:
        return False
    return True
