"""Result files that are written unit by unit: an interrupted command goes on where it stood; a finished file is not touched.

While it grows, a result is `<path>.part`, beside it `<path>.part.json` with what it is made of and how many units are in it. A
finished result has `<path>.json`, with what it was made of.
"""

import json
import os
from pathlib import Path

from sbert.errors import InputError


class Output:
    """One result file; only the main process holds one.

    Args:
        settings: all that the result depends on, in JSON types. A part that was made under others is refused.
        overwrite: replace a finished result, and forget a part.

    Raises:
        InputError: the result is there; a part of other settings is; the place cannot be written.
    """

    def __init__(self, path: str | Path, settings: dict, overwrite: bool = False):
        self.path, self.settings = Path(path), json.loads(json.dumps(settings))
        self.part, self.state = Path(f"{path}.part"), Path(f"{path}.part.json")
        self.units, self.size, self.facts = 0, 0, {}
        if self.path.exists() and not overwrite:
            raise InputError(f"{path}: is there already; --overwrite replaces it, or name another output")
        if self.state.exists() and not overwrite:
            found = json.loads(self.state.read_text("utf-8"))
            self._check(found["settings"])
            self.units, self.size, self.facts = found["units"], found["size"], found["facts"]
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.file = open(self.part, "r+b" if self.units else "w+b")  # noqa: SIM115 - closed by finish
            self.file.truncate(self.size)
            self.file.seek(self.size)
        except OSError as error:
            raise InputError(f"{path}: cannot be written: {error.strerror}") from None

    def _check(self, found: dict) -> None:
        for name in sorted({*found, *self.settings}):
            if found.get(name) != self.settings.get(name):
                raise InputError(
                    f"{self.part}: was begun with {name} {found.get(name)}, now {self.settings.get(name)}; go on with the "
                    "settings of then, or begin anew with --overwrite"
                )

    def append(self, data: bytes, facts: dict | None = None) -> None:
        """Add one unit. When this returns, the unit is on the disk and will not be made again. `facts`: what else to remember."""
        try:
            self.file.write(data)
            self.file.flush()
            os.fsync(self.file.fileno())
            self.units, self.size = self.units + 1, self.size + len(data)
            self.facts = facts or self.facts
            state = {"units": self.units, "size": self.size, "facts": self.facts, "settings": self.settings}
            _replace(self.state, json.dumps(state).encode())
        except OSError as error:
            raise InputError(
                f"{self.part}: cannot be written: {error.strerror}; the {self.units} units before are kept, and the same command "
                "goes on from there"
            ) from None

    def read(self) -> bytes:
        """Everything appended so far."""
        self.file.seek(0)
        data = self.file.read(self.size)
        self.file.seek(self.size)
        return data

    def finish(self, data: bytes | None = None) -> None:
        """Put the result into its place: what was appended, or `data` instead."""
        try:
            self.file.close()
            if data is not None:
                _replace(self.part, data)
            _replace(Path(f"{self.path}.json"), (json.dumps(self.settings, indent=2) + "\n").encode())
            os.replace(self.part, self.path)
        except OSError as error:
            raise InputError(f"{self.path}: cannot be written: {error.strerror}") from None
        self.state.unlink(missing_ok=True)


def _replace(path: Path, data: bytes) -> None:
    """Write a file so that it holds either all of the old or all of the new."""
    new = path.with_name(path.name + ".new")
    with open(new, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(new, path)


def lines(rows: list[dict], path: str | Path, header: bool) -> bytes:
    """Rows of like keys as lines of a .jsonl or .tsv file, the latter with a first line that names the columns."""
    if Path(path).suffix == ".jsonl":
        return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    text = ["\t".join(rows[0]) + "\n"] if header and rows else []
    for row in rows:
        cells = [f"{cell:.6f}" if isinstance(cell, float) else str(cell) for cell in row.values()]
        bad = next((cell for cell in cells if "\t" in cell or "\n" in cell), None)
        if bad is not None:
            raise InputError(f"{path}: a text has a tab or a line break, which TSV cannot hold: {bad!r}; write .jsonl")
        text.append("\t".join(cells) + "\n")
    return "".join(text).encode()
