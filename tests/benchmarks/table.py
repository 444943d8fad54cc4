"""The results, as a table for a person and as JSON."""

import platform
import re
from collections.abc import Sequence
from typing import Any

from tests.benchmarks.measure import Goal, Ratio, Result, Usage, median, ratio

_HEADS = (
    *("stage", "peer", "ours", "peer's", "wall, ours/peer", "until on the disk, ours/peer"),
    *("CPU s, ours", "peer's", "CPU, ours/peer"),
    *("MB, ours", "peer's", "MB read from the disk, ours", "peer's", "goal"),
)
WARM = (
    "Medians of {rounds} rounds, ours and the peers in turns, after a warm-up: the page cache is warm for both. Ratios "
    "are medians of each round's ratio, with the lowest and the highest. CPU is that of all processes; memory is the "
    "largest process's. A peer is judged by the goals in its row."
)


def verdicts(result: Result, peer: str, is_cold: bool) -> list[tuple[Goal, Ratio]]:
    """Return the goals against a peer, with what was measured."""
    goals = [goal for goal in result.stage.goals if (goal.peer, goal.is_cold) == (peer, is_cold)]
    return [(goal, ratio(result.ours, result.peers[peer], goal.measure)) for goal in goals]


COLD = (
    "Medians of {rounds} rounds, ours and the peers in turns, each with {memory:g} GB of memory and nothing in the "
    "page cache before it. Ratios are medians of each round's ratio, with the lowest and the highest. CPU is that of "
    "all processes; memory is the largest process's."
)


def _says(rounds: int, cold: float | None) -> str:
    return COLD.format(rounds=rounds, memory=cold) if cold else WARM.format(rounds=rounds)


def as_table(results: Sequence[Result], rounds: int, cold: float | None = None) -> str:
    """Return a Markdown table, and below it what a reader has to know."""
    rows = [_HEADS, *(_row(result, peer, cold is not None) for result in results for peer in result.peers)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    notes = [f"- {result.stage.name}: {result.stage.does}. {result.stage.note}" for result in results]
    return "\n".join([*lines, "", f"{_says(rounds, cold)} Machine: {machine()}.", "", *notes])


def _row(result: Result, peer: str, is_cold: bool) -> tuple[str, ...]:
    ours, theirs = median(result.ours), median(result.peers[peer])
    return (
        result.stage.name,
        peer,
        f"{ours.wall:.2f} s",
        f"{theirs.wall:.2f} s",
        _show(ratio(result.ours, result.peers[peer], "wall")),
        _show(ratio(result.ours, result.peers[peer], "durable")),
        f"{ours.cpu:.2f}",
        f"{theirs.cpu:.2f}",
        _show(ratio(result.ours, result.peers[peer], "cpu")),
        f"{ours.memory / 1e6:,.0f}",
        f"{theirs.memory / 1e6:,.0f}",
        f"{ours.disk / 1e6:,.0f}",
        f"{theirs.disk / 1e6:,.0f}",
        "; ".join(
            f"{goal.measure} ≤ {goal.ratio:g}: {'met' if found.median <= goal.ratio else 'MISSED'}"
            for goal, found in verdicts(result, peer, is_cold)
        ),
    )


def _show(found: Ratio) -> str:
    return f"{found.median:.2f} ({found.lowest:.2f} to {found.highest:.2f})"


def as_json(results: Sequence[Result], scale: float, rounds: int, cold: float | None = None) -> dict[str, Any]:
    """Return all that is in the table, and every single run: seconds and bytes."""
    return {
        "scale": scale,
        "rounds": rounds,
        "machine": machine(),
        "page cache": f"cold, {cold:g} GB of memory" if cold else "warm",
        "stages": [_stage_as_json(result, cold is not None) for result in results],
    }


def _stage_as_json(result: Result, is_cold: bool) -> dict[str, Any]:
    return {
        "stage": result.stage.name,
        "does": result.stage.does,
        "note": result.stage.note,
        "ours": _runs_as_json(result.ours),
        "peers": {peer: _peer_as_json(result, peer, is_cold) for peer in result.peers},
    }


def _peer_as_json(result: Result, peer: str, is_cold: bool) -> dict[str, Any]:
    runs = result.peers[peer]
    return {
        **_runs_as_json(runs),
        "ours/peer": {measure: ratio(result.ours, runs, measure)._asdict() for measure in Usage._fields},
        "goals": [
            {"measure": goal.measure, "at most": goal.ratio, "met": found.median <= goal.ratio}
            for goal, found in verdicts(result, peer, is_cold)
        ],
    }


def _runs_as_json(runs: Sequence[Usage]) -> dict[str, Any]:
    return {"median": median(runs)._asdict(), "runs": [usage._asdict() for usage in runs]}


def machine() -> str:
    """Return cores, processor, memory and kernel, for whoever compares."""
    with open("/proc/cpuinfo") as file:
        models = re.findall(r"^model name\s*: (.+)$", file.read(), re.MULTILINE)
    with open("/proc/meminfo") as file:
        kilobytes = int(file.readline().split()[1])
    processor = f"{len(models)} x {models[0]}" if models else platform.machine()
    return f"{processor}, {kilobytes / 1e6:.0f} GB, Linux {platform.release()}, Python {platform.python_version()}"
