import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from luigi_ilsvrc.findings import Finding, Kind, Report

paths = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1).map(Path)
findings = st.builds(
    Finding,
    kind=st.sampled_from(Kind),
    path=paths,
    reason=st.text(),
    made_by=st.text(),
    to_remove=st.lists(paths, max_size=3).map(tuple),
    substitute=st.none() | paths,
)


@given(findings)
def test_a_finding_is_read_back_from_json(finding: Finding) -> None:
    assert Finding.from_json(json.loads(json.dumps(finding.to_json()))) == finding


@pytest.mark.parametrize("kind", Kind)
def test_a_finding_is_a_line_of_kind_path_reason_and_task(kind: Kind) -> None:
    finding = Finding(kind, Path("/data/shard"), "it ends after 3 of 4 records", "TFRecordShard --shard 7")
    assert str(finding).startswith(f"{kind.value} /data/shard: it ends after 3 of 4 records; ")
    assert str(finding).endswith(" TFRecordShard --shard 7")


def test_a_finding_that_no_task_makes_says_so() -> None:
    assert str(Finding(Kind.EXTRA, Path("/data/notes"), "it is extra")).endswith("no task makes it")


def test_a_report_is_empty_at_first() -> None:
    assert Report() == Report(files=0, bytes=0, records=0, findings=[])


def test_findings_are_added_to_their_own_report_in_order() -> None:
    report, other = Report(), Report()
    report.add(Kind.MISSING, Path("a"), "it is gone")
    report.add(Kind.DAMAGED, Path("b"), "it has 3 bytes")
    assert report.findings == [
        Finding(Kind.MISSING, Path("a"), "it is gone"),
        Finding(Kind.DAMAGED, Path("b"), "it has 3 bytes"),
    ]
    assert other.findings == []
