"""The table: what was measured, beside what, and whether it reaches its goal."""

from dataclasses import dataclass


@dataclass
class Row:
    work: str
    """What was done."""
    measured: str
    beside: str
    """The peers, measured in the same run on the same node."""
    ratio: str
    goal: str
    reached: bool


HEADERS = ("work", "measured", "beside it", "ratio", "goal", "")


def table(rows: list[Row]) -> str:
    """Markdown, with the columns under each other."""
    lines = [HEADERS]
    for row in rows:
        lines.append((row.work, row.measured, row.beside, row.ratio, row.goal, "ok" if row.reached else "MISSES"))
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADERS))]
    lines.insert(1, tuple("-" * width for width in widths))
    return "\n".join("| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths)) + " |" for line in lines)


def at_most(work: str, seconds: float, goal: float, beside: dict[str, float]) -> Row:
    """A limit in seconds; the ratio is to the first of the peers."""
    first = next(iter(beside.values()), 0)
    ratio = f"{seconds / first:.2f}" if first else ""
    return Row(work, f"{seconds:.2f} s", peers(beside), ratio, f"<= {goal:g} s", seconds <= goal)


def at_most_times(work: str, seconds: float, times: float, beside: dict[str, float]) -> Row:
    """A limit that is a multiple of the first of the peers."""
    name, peer = next(iter(beside.items()))
    reached = seconds <= times * peer
    return Row(work, f"{seconds:.2f} s", peers(beside), f"{seconds / peer:.2f}", f"<= {times:g} x {name}", reached)


def peers(beside: dict[str, float]) -> str:
    return ", ".join(f"{name} {seconds:.2f} s" for name, seconds in beside.items())
