"""Markdown tables."""

import math


def _cell(value: object) -> str:
    """A text in a Markdown table, where | parts cells."""
    return str(value).replace("|", "\\|")


def markdown_table(header: list[str], rows: list[list[object]]) -> str:
    """An aligned Markdown table: text to the left, numbers to the right; undefined numbers as "-"."""

    def show(value: object) -> str:
        if isinstance(value, float):
            return "-" if math.isnan(value) else f"{round(value, 2) + 0.0:.2f}"  # + 0.0: no "-0.00"
        return f"{value:,}" if isinstance(value, int) else _cell(value)

    cells = [header, *[[show(value) for value in row] for row in rows]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
    right = [
        all(not isinstance(row[i], str) or row[i] == "-" for row in rows)
        for i in range(len(header))
    ]
    lines = [
        "| "
        + " | ".join(
            c.rjust(w) if r else c.ljust(w) for c, w, r in zip(row, widths, right, strict=True)
        )
        + " |"
        for row in cells
    ]
    rule = (
        "| "
        + " | ".join(
            "-" * (w - 1) + (":" if r else "-") for w, r in zip(widths, right, strict=True)
        )
        + " |"
    )
    return "\n".join([lines[0], rule, *lines[1:]])
