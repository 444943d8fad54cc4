"""When the report is made, and when it is made again."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from luigi.rpc import RemoteScheduler

from luigi_ilsvrc import BuildAll, BuildReport
from tests.report.conftest import without_timings
from tests.support.in_process import run
from tests.support.running import QUICK, SHARDS, address, contents, luigid, start_luigi

pytestmark = pytest.mark.slow

COUNTS = {"train_shards": 8, "validation_shards": 3}


def report(data_dir: Path) -> Path:
    return data_dir / "ilsvrc2012" / "report.html"


def test_two_workers_make_the_same_report_as_one_but_for_its_timings(built: Path, ilsvrc: Path, tmp_path: Path) -> None:
    done = run("BuildAll", "--source", ilsvrc, "--data-dir", tmp_path, *SHARDS, "--workers", "2")
    assert done.is_well, done.output
    one, two = report(built).read_text(), report(tmp_path).read_text()
    assert one != two
    assert without_timings(one) == without_timings(two)
    assert contents(built) == contents(tmp_path)


def test_the_last_line_of_a_build_says_where_its_report_is(data_dir: Path, ilsvrc: Path) -> None:
    report(data_dir).unlink()
    done = run("BuildAll", "--source", ilsvrc, "--data-dir", data_dir, *SHARDS)
    assert f"see {report(data_dir)}; this run took" in done.output.splitlines()[-1]


def test_the_web_view_links_to_the_report(ilsvrc: Path, data_dir: Path, tmp_path: Path) -> None:
    report(data_dir).unlink()
    with luigid(tmp_path) as port:
        process = start_luigi("BuildAll", "--source", ilsvrc, "--data-dir", data_dir, *SHARDS, *address(port))
        process.communicate(timeout=120)
        assert process.returncode == 0
        scheduler: Any = RemoteScheduler(f"http://127.0.0.1:{port}")
        tasks = scheduler.task_list("DONE", "")
    links = {task["name"]: task["tracking_url"] for task in tasks.values()}
    assert links["BuildAll"] == report(data_dir).as_uri()


def test_a_build_with_its_report_is_complete_and_one_without_it_is_not(data_dir: Path, ilsvrc: Path) -> None:
    given = {"source": str(ilsvrc), "data_dir": data_dir, **COUNTS}
    assert BuildAll(**given).complete()
    report(data_dir).unlink()
    assert not BuildAll(**given).complete()


def test_the_report_is_that_of_the_formats_and_shard_counts_that_are_given(data_dir: Path, ilsvrc: Path) -> None:
    given = {"source": str(ilsvrc), "data_dir": data_dir}
    assert BuildReport(**given, **COUNTS).complete()
    assert not BuildReport(**given, train_shards=4, validation_shards=3).complete()
    assert not BuildReport(**given, **COUNTS, formats="none").complete()


def test_the_report_is_made_by_itself_with_what_it_needs(ilsvrc: Path, tmp_path: Path) -> None:
    done = run("BuildReport", "--source", ilsvrc, "--data-dir", tmp_path, *QUICK)
    assert done.is_well, done.output
    assert "This is a fixed sample" in report(tmp_path).read_text()


def test_a_report_that_was_cut_is_made_again(data_dir: Path, ilsvrc: Path) -> None:
    whole = report(data_dir).read_text()
    report(data_dir).write_text(whole[:-1])
    assert run("BuildAll", "--source", ilsvrc, "--data-dir", data_dir, *SHARDS).is_well
    assert without_timings(report(data_dir).read_text()) == without_timings(whole)


def test_the_report_shows_each_verification_that_ended_and_the_build_stays_complete(
    data_dir: Path, ilsvrc: Path
) -> None:
    where = ("--source", ilsvrc, "--data-dir", data_dir, *SHARDS)
    assert "It was not verified yet" in report(data_dir).read_text()
    assert run("VerifyBuild", *where, "--date", "2026-11-22").is_well
    page = report(data_dir).read_text()
    assert '<th scope="row">2026-11-22</th><td>1/1</td><td class="good">as it was made</td>' in page
    assert BuildAll(source=str(ilsvrc), data_dir=data_dir, **COUNTS).complete()


def test_the_report_shows_the_damage_that_a_verification_found(data_dir: Path, ilsvrc: Path) -> None:
    where = ("--source", ilsvrc, "--data-dir", data_dir, *SHARDS, "--date", "2026-11-22")
    image = next((data_dir / "ilsvrc2012" / "training_images").glob("*/*.JPEG"))
    image.write_bytes(b"")
    assert run("VerifyBuild", *where).status == 30
    page = report(data_dir).read_text()
    assert '<td class="bad">1 finding</td>' in page
    assert image.name in page.partition('<h2 id="verification">')[2]
    assert run("VerifyBuild", *where, "--repair", "true").status == 30
    assert run("BuildAll", *where[:-2]).is_well
    assert run("VerifyBuild", *where).is_well
    assert '<td class="good">as it was made</td>' in report(data_dir).read_text()


def test_a_verification_makes_no_report_where_none_was(data_dir: Path, ilsvrc: Path) -> None:
    report(data_dir).unlink()
    assert run("VerifyBuild", "--source", ilsvrc, "--data-dir", data_dir, *SHARDS).is_well
    assert not report(data_dir).exists()


def test_without_archives_the_sample_images_come_from_the_class_folders(data_dir: Path, ilsvrc: Path) -> None:
    before = report(data_dir).read_text()
    for archive in (data_dir / "ilsvrc2012").glob("*.tar*"):
        archive.unlink()
    report(data_dir).unlink()
    done = run("BuildReport", "--source", ilsvrc, "--data-dir", data_dir, *SHARDS)
    assert done.is_well, done.output
    after = report(data_dir).read_text()
    assert without_timings(after).replace("<td>deleted</td>", "<td>kept</td>") == without_timings(before)


def test_an_index_that_is_not_as_it_was_written_gives_no_report(data_dir: Path, ilsvrc: Path) -> None:
    report(data_dir).unlink()
    index = next((data_dir / "ilsvrc2012" / "index" / "train").iterdir())
    index.write_bytes(index.read_bytes()[:-1])
    done = run("BuildReport", "--source", ilsvrc, "--data-dir", data_dir, *SHARDS)
    assert (done.is_well, done.is_clear) == (False, True)
    assert str(index) in done.output
    assert not report(data_dir).exists()


def test_a_report_of_class_folders_says_so(built: Path, ilsvrc: Path, tmp_path: Path) -> None:
    for name in ("training_images", "validation_images", "training_bounding_boxes"):
        shutil.copytree(built / "ilsvrc2012" / name, tmp_path / "ilsvrc2012" / name)
    done = run("BuildAll", "--source", ilsvrc, "--data-dir", tmp_path, *SHARDS, "--check-counts", "false")
    assert done.is_well, done.output
    page = report(tmp_path).read_text()
    assert "<td>class folders</td>" in page
    assert "not used: class folders were there" in page
    samples = page.partition('<h2 id="samples">')[2].partition("</section>")[0]
    assert samples.replace("\n", "") == (
        report(built).read_text().partition('<h2 id="samples">')[2].partition("</section>")[0].replace("\n", "")
    )
