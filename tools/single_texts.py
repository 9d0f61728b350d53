"""The distinct texts of datasets, each with its class: a file for task class.

python tools/single_texts.py --data afs:dp afs:gc afs:gm --output runs/afs_topics.jsonl

The class is that of a text's row, in a column of the file such as its topic. Texts whose rows have
different classes are left out and counted.
"""

import sys
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

from sbert.atomic import encode_lines, write_whole
from sbert.cli import parse_command
from sbert.data.config import DatasetConfig
from sbert.data.origin import dataset_by_name
from sbert.data.rows import Rows, read_dataset
from sbert.errors import one_line_errors, require


@dataclass
class SingleTextsConfig:
    """Write the distinct texts of datasets, each with its class.

    Args:
        data: files or names of datasets, with the split after a colon, such as afs:dp.
        output: the file that is written, .jsonl or .tsv.
        label: the column of the class.
    """

    data: list[str]
    output: str
    label: str = "source"


def read_classes(config: DatasetConfig, label: str) -> dict[str, set[str]]:
    """The classes of each text of a dataset.

    Raises:
        InputError: a dataset that cannot be read, or that has no classes.
    """
    rows = read_dataset(replace(config, source=label), labels=False)
    require(
        isinstance(rows, Rows) and rows.sources and all(rows.sources),
        f"dataset {config.path}: a row has no class; label is {label}, which must be a column "
        "without empty fields",
    )
    print(rows.describe())
    classes: dict[str, set[str]] = {}
    for column in rows.texts:
        for text, name in zip(column, rows.sources, strict=True):
            if text is not None:
                classes.setdefault(text, set()).add(name)
    return classes


def write_single_texts(config: SingleTextsConfig) -> None:
    output = Path(config.output)
    require(
        output.suffix in (".jsonl", ".tsv"),
        f"output is {output}; the name of the file must end with .jsonl or .tsv",
    )
    classes: dict[str, set[str]] = {}
    for spec in config.data:
        for text, names in read_classes(dataset_by_name(spec, "train"), config.label).items():
            classes[text] = classes.get(text, set()) | names
    records = [
        {"text": text, "label": min(names)} for text, names in classes.items() if len(names) == 1
    ]
    output.parent.mkdir(parents=True, exist_ok=True)
    write_whole(output, encode_lines(records, output, header=True))
    print(f"{len(classes) - len(records):,} texts of several classes left out")
    counts = Counter(record["label"] for record in records)
    listed = ", ".join(f"{name} {count:,}" for name, count in sorted(counts.items()))
    print(f"{len(records):,} distinct texts ({listed}): {output}")


def main(argv: list[str]) -> None:
    with one_line_errors("single_texts.py"):
        data = (str, "Files or names of datasets, with the split after a colon: afs:dp.")
        command = parse_command("single_texts.py", SingleTextsConfig, __doc__, argv, data=data)
        write_single_texts(command.config)


if __name__ == "__main__":
    main(sys.argv[1:])
