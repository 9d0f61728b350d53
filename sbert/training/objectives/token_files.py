"""The tokens of training data, made once: by one process for all of a run, and for further runs."""

import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from accelerate import Accelerator

from sbert.atomic import locked, replace_folder
from sbert.distributed import broadcast
from sbert.errors import InputError, require
from sbert.models.token_table import TokenTable, load_table, save_table
from sbert.models.tokens import CHUNK, BaseTokenizer, tokenize_columns

MANY_TEXTS = 200_000  # from so many on a table is kept in files

Column = Sequence[str | None]


@dataclass(frozen=True)
class TokenFiles:
    """Where the tokens of a run's training data are made, once for all its processes.

    Tables of many texts are files, which all processes map into memory: they share one copy, of
    which memory holds what is in use. A table is a folder below `folder`, named after all that it
    depends on: the texts, the prompts, the tokenizer and its settings. So it serves every run with
    the same ones, and is never out of date. Smaller tables are sent to the other processes.
    """

    accelerator: Accelerator
    folder: Path

    def tokenize_columns(
        self, tokenizer: BaseTokenizer, columns: Sequence[Column], prompts: Sequence[str]
    ) -> tuple[TokenTable, np.ndarray]:
        """As the function of this name, on the texts of the main process.

        Raises:
            InputError: the files cannot be written, are damaged, or are on another machine alone.
        """
        made = None
        if self.accelerator.is_main_process:
            made = self._make(tokenizer, columns, prompts)
        made = broadcast(self.accelerator, made)
        if not isinstance(made, Path):
            return made
        require(
            made.exists(),
            f"{made}: is not on this machine; data.token_tables names a folder that every machine "
            "of a run sees",
        )
        return load_table(made)

    def _make(
        self, tokenizer: BaseTokenizer, columns: Sequence[Column], prompts: Sequence[str]
    ) -> Path | tuple[TokenTable, np.ndarray]:
        if sum(map(len, columns)) < MANY_TEXTS:
            return tokenize_columns(tokenizer, columns, prompts)
        path = self.folder / table_name(tokenizer, columns, prompts)
        make = partial(tokenize_columns, tokenizer, columns, prompts)
        try:
            if not path.exists():  # a folder that has it may be read-only
                self.folder.mkdir(parents=True, exist_ok=True)
                _write_once(path, partial(save_table, make=make))
        except OSError as error:
            shutil.rmtree(f"{path}.unfinished", ignore_errors=True)
            raise InputError(
                f"{path}: cannot be written: {error.strerror}; data.token_tables names the folder "
                "of the training data's tokens"
            ) from None
        return path


def _write_once(path: Path, write: Callable[[Path], None]) -> None:
    with locked(path):  # of several runs that want it at once, one writes
        if not path.exists():
            replace_folder(path, write)


def table_name(tokenizer: BaseTokenizer, columns: Sequence[Column], prompts: Sequence[str]) -> str:
    """The digest of columns of texts, their prompts and the tokenizer."""
    hashed = hashlib.sha256(tokenizer.fingerprint.encode())
    facts = [len(columns), *prompts]
    if len(set(prompts)) > 1:  # older versions wrote a table of several prompts without them
        facts.append("text_ids")
    hashed.update(json.dumps(facts).encode())
    for column in columns:
        for start in range(0, len(column), CHUNK):
            chunk = column[start : start + CHUNK]
            lengths = [-1 if text is None else len(text) for text in chunk]
            hashed.update(np.array(lengths, "<i8"))
            hashed.update("".join(filter(None, chunk)).encode())
    return hashed.hexdigest()[:32]
