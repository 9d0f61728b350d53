"""Markdown tables, aligned for a terminal."""

import math
import re


def markdown_cell(value: object) -> str:
    """A value as text in a table cell, where | would separate cells."""
    return str(value).replace("|", "\\|")


def markdown_code(text: str) -> str:
    """A text that is shown as it is, on one line, whatever characters it has."""
    text = " ".join(text.split("\n"))
    longest = max(map(len, re.findall("`+", text)), default=0)
    space = " " if "`" in text else ""
    fence = "`" * (longest + 1)
    return f"{fence}{space}{text}{space}{fence}"


def _format(value: object) -> str:
    if isinstance(value, float):
        # + 0.0 turns -0.0 into 0.0
        return "-" if math.isnan(value) else f"{round(value, 2) + 0.0:.2f}"
    if isinstance(value, int):
        return f"{value:,}"
    return markdown_cell(value)


def markdown_table(header: list[str], rows: list[list[object]]) -> str:
    """A table with text aligned left and columns of numbers aligned right.

    Floats have two decimals, and undefined ones (NaN) are shown as "-".
    """
    columns = range(len(header))
    cells = [header, *([_format(value) for value in row] for row in rows)]
    widths = [max(len(row[i]) for row in cells) for i in columns]
    is_text = [any(isinstance(row[i], str) and row[i] != "-" for row in rows) for i in columns]

    def line(row: list[str]) -> str:
        aligned = [
            row[i].ljust(widths[i]) if is_text[i] else row[i].rjust(widths[i]) for i in columns
        ]
        return f"| {' | '.join(aligned)} |"

    rule = ["-" * widths[i] if is_text[i] else "-" * (widths[i] - 1) + ":" for i in columns]
    return "\n".join([line(header), line(rule), *map(line, cells[1:])])
