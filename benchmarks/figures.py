"""What the benchmarks of speed share: systems measured in turn, and the table of their figures.

A table has a row for each system: its name, its figure, the ratio to a base system of the same
repeat (the median, and the range over the repeats), then whatever else. A row `limit: ...` is what
no system of its kind can undercut, measured in the same run. The line `worst on: ...` names the
data on which the ratio is lowest. benchmarks/speed.py puts all of it on docs/speed.md.
"""

import statistics
import time
from collections.abc import Callable, Iterable

import torch

from sbert.markdown import markdown_table

# a run returns the seconds that it timed itself, or None to have the whole call timed; its result
Run = Callable[[], tuple[float | None, object]]


def in_turn(
    runs: dict[str, Run], repeats: int, warm_up: bool = True
) -> tuple[dict[str, list[float]], dict[str, object]]:
    """The seconds of each repeat of each system, and its last result. The systems run in turn,
    after one round that is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    results = {}
    for repeat in range(repeats + warm_up):
        for name, run in runs.items():
            start = time.perf_counter()
            timed, results[name] = run()
            if repeat >= warm_up:
                seconds[name].append(timed or time.perf_counter() - start)
    return seconds, results


def figure_rows(seconds: dict[str, list[float]], base: str, count: int) -> list[list]:
    """Of each system: its name, `count` a second, the ratio to the base, that of each repeat."""
    rows = []
    for name, times in seconds.items():
        ratios = [theirs / own for theirs, own in zip(seconds.get(base, times), times, strict=True)]
        speed = round(count / statistics.median(times))
        rows.append([name, speed, *ratio_cells(ratios, name == base)])
    return rows


def ratio_cells(ratios: list[float], is_base: bool = False) -> list:
    """The median of ratios, and their range."""
    if is_base or len(ratios) == 1:
        return [statistics.median(ratios), ""]
    return [statistics.median(ratios), f"{min(ratios):.2f} to {max(ratios):.2f}"]


def print_figures(about: str, header: list[str], rows: list[list], worst_on: str) -> None:
    """Print what was measured, the table, and the data that are worst for the ratio."""
    width = len(header)
    rows = [[*row, *["-"] * (width - len(row))] for row in rows]
    print(f"\n{about}; {torch.get_num_threads()} threads\n")
    print(markdown_table(header, rows))
    print(f"\nworst on: {worst_on}")


def texts_of_one_length(texts: Iterable[str], words: int) -> list[str]:
    """Texts of so many words each, joined from others: nothing is saved by sorting them."""
    joined = " ".join(texts).split()
    return [
        " ".join(joined[start : start + words])
        for start in range(0, len(joined) - words + 1, words)
    ]
