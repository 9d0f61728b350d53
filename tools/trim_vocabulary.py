"""A model with the pieces of your texts alone: a vocabulary that fits.

python tools/trim_vocabulary.py models/multilingual-e5-small models/e5-small-de \\
    --texts stsb_multi_mt/de tatoeba_parallel:en-de my/texts.txt \\
    '{path: multi30k, split: train, texts: [en, de], languages: [en, de]}' \\
    --prompts '{query: "query: "}' --default_prompt_name query \\
    --heldout stsb_multi_mt/de --sts stsb_multi_mt/de

The first folder is read, the second is written. What stays: the pieces that the texts use, all
single characters, all special and added tokens, and what these are merged from. Texts whose pieces
all stay have the same embeddings, to the bit; other texts are cut into smaller pieces. Give texts
of every language and kind that the model will read, the more the better. The languages that they
declare are those of the model card.

Printed at the end: the size before and after; for --heldout, how many texts are cut otherwise, of
those that are not among --texts; for --sts, the main metric of its task before and after.
"""

import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from itertools import takewhile
from pathlib import Path

import numpy as np
from jsonargparse.typing import PositiveInt
from trim_model import (
    choose_pieces,
    count_pieces,
    encode_ids,
    find_prompts,
    load_encoder,
    read_content,
    read_texts,
    trimmed_card,
    write_trimmed,
)

from sbert.atomic import make_folder, replace_folder
from sbert.cli import parse_command
from sbert.data.config import DatasetConfig
from sbert.data.origin import dataset_name
from sbert.data.rows import Rows, read_dataset
from sbert.device import default_device
from sbert.errors import one_line_errors, require
from sbert.evaluation.command import dataset_configs
from sbert.evaluation.config import EvaluateConfig
from sbert.evaluation.evaluators import evaluate_rows
from sbert.evaluation.loading import load_models
from sbert.evaluation.prompts import column_prompts
from sbert.evaluation.report import Report, describe_metric
from sbert.markdown import markdown_table
from sbert.models.encoder import Encoder
from sbert.models.folders.backbone import locate_folder
from sbert.models.folders.card import write_card
from sbert.texts import normalise

PROGRAM = "trim_vocabulary.py"

Dataset = DatasetConfig | str

# of a dataset its name, how many of its texts were given, and the others
HeldOut = tuple[str, int, list[str]]


@dataclass
class TrimConfig:
    """What stays of a vocabulary, and on what it is compared with the whole one.

    Args:
        texts: datasets whose texts say which pieces stay.
        min_count: how often the texts must use a piece; of equal texts one counts.
        prompts: of a bi-encoder, texts that will be put before others, by name, such as {query:
            "query: "}; null for those of its folder. Pieces are counted with and without them. They
            are not saved.
        default_prompt_name: the name of the prompt of heldout and sts; null for the one of its
            folder, if any.
        heldout: datasets whose texts, but for those among `texts`, are compared before and after.
        sts: labelled datasets on which the model is evaluated before and after.
    """

    texts: list[Dataset]
    min_count: PositiveInt = 1
    prompts: dict[str, str] | None = None
    default_prompt_name: str | None = None
    heldout: list[Dataset] = field(default_factory=list)
    sts: list[Dataset] = field(default_factory=list)


# the options that take several words
LISTS = {
    "texts": (
        Dataset,
        "Datasets whose texts say which pieces stay: names (stsb stsb_multi_mt/de:dev), files, or "
        "'{path: multi30k, split: train, texts: [en, de]}'. Labels are not needed, and a .txt file "
        "has one text per line. The split is train where none is named.",
    ),
    "heldout": (
        Dataset,
        "Datasets, named in the same way, whose texts, but for those that --texts have too, are "
        "compared before and after; split: test.",
    ),
    "sts": (
        Dataset,
        "Labelled datasets on which the model is evaluated before and after; split: test.",
    ),
}


def trim_vocabulary(source: str, output: Path, config: TrimConfig) -> None:
    """Write a model with the pieces that stay to a new folder, and print what has changed.

    Raises:
        InputError: the folder exists; a dataset or a model that cannot be used; a held-out dataset
            whose texts are all among `texts`; a tokenizer of another kind, without a special token,
            or with more ids than the model has embeddings.
    """
    require(not output.exists(), f"{output}: exists already; name a new folder")
    root = locate_folder(source)
    texts = read_texts(dataset_configs(config.texts, "train"))
    held_out = read_held_out(dataset_configs(config.heldout, "test"), texts)
    sts = [read_dataset(dataset) for dataset in dataset_configs(config.sts, "test")]
    model = load_encoder(root)
    prompts, default = find_prompts(model, config.prompts, config.default_prompt_name)
    content, size = read_content(root, model)
    sizes = [folder_sizes(root, model)]
    counts = count_pieces(model, texts, prompts, size)
    used = np.flatnonzero(counts >= config.min_count)
    times = f"{config.min_count} times or more" if config.min_count > 1 else "at all"
    print(f"{len(texts):,} distinct texts use {len(used):,} pieces {times}")
    spare = len(model.transformer.get_input_embeddings().weight) - size
    if spare:
        print(f"{spare:,} rows of the embeddings have no token, and are left out")
    options = {"prompts": config.prompts, "default_prompt_name": config.default_prompt_name}
    before = evaluate(root, sts, **options) if sts else []  # now: it may refuse a dataset
    kept = choose_pieces(root, model, content, used.tolist())
    make_folder(output.parent)
    replace_folder(output, partial(write_trimmed, root, model, kept))
    trimmed = load_encoder(output)
    sizes.append(folder_sizes(output, trimmed))
    table = size_table(*sizes)
    datasets = dataset_configs(config.texts, "train")
    write_card(output, trimmed, trimmed_card(output, source, datasets, config.min_count, table))
    print("", table, sep="\n")
    if held_out:
        print("", text_table(held_out, model, trimmed, default, kept), sep="\n")
    if sts:
        print("", score_table(before, evaluate(output, sts, **options)), sep="\n")
    print(f"\nthe trimmed model: {output}")


def folder_sizes(root: Path, model: Encoder) -> dict[str, int | float]:
    """A column of the table of sizes."""
    weights = sum(path.stat().st_size for path in root.rglob("*.safetensors"))
    tokenizer = sum(path.stat().st_size for path in root.glob("tokenizer.json"))
    return {
        "pieces": len(model.tokenizer),
        "parameters": sum(weight.numel() for weight in model.transformer.parameters()),
        "weights, MB": weights / 1e6,
        "tokenizer.json, MB": tokenizer / 1e6,
    }


def size_table(before: dict[str, int | float], after: dict[str, int | float]) -> str:
    rows = []
    for name, value in before.items():
        rows.append([name, value, after[name], f"{after[name] / max(value, 1e-9):.1%}"])
    return markdown_table(["", "before", "after", "left"], rows)


def read_held_out(configs: list[DatasetConfig], texts: list[str]) -> list[HeldOut]:
    """The held-out datasets, for the given `texts`.

    Raises:
        InputError: all texts of one are among these.
    """
    given = {normalise(text) for text in texts} if configs else set()
    held_out = []
    for config in configs:
        name, found = dataset_name(config), read_texts([config])
        others = [text for text in found if normalise(text) not in given]
        require(
            others,
            f"heldout {name}: all {len(found):,} texts are among texts; name data that has others",
        )
        held_out.append((name, len(found) - len(others), others))
    return held_out


def compare_ids(
    before: Iterable[list[int]], after: Iterable[list[int]], kept: list[int]
) -> list[float]:
    """How many texts there are, how many are cut otherwise, their share, and more tokens, in %.

    Args:
        before, after: the ids of each text.
        kept: the id before of each id after.
    """
    texts = otherwise = tokens = more = 0
    for old, new in zip(before, after, strict=True):
        texts += 1
        otherwise += old != [kept[i] for i in new]
        tokens += len(old)
        more += len(new) - len(old)
    share, longer = 100 * otherwise / max(texts, 1), 100 * more / max(tokens, 1)
    return [texts, otherwise, share, longer]


def text_table(
    held_out: list[HeldOut], model: Encoder, trimmed: Encoder, prompt: str, kept: list[int]
) -> str:
    rows = []
    for name, known, others in held_out:
        before, after = encode_ids(model, others, prompt), encode_ids(trimmed, others, prompt)
        rows.append([name, known, *compare_ids(before, after, kept)])
    columns = ["also in texts", "others", "cut otherwise", "of them, %", "more tokens, %"]
    return markdown_table(["held out", *columns], rows)


def evaluate(root: Path, datasets: list[Rows], **prompts) -> list[Report]:
    """The report of a model on each dataset. `prompts`: options of evaluation."""
    config = EvaluateConfig(str(root), [], **prompts)
    evaluated = load_models(config, datasets, default_device())["model"]
    scorer, model = evaluated.scorer, evaluated.model
    return [evaluate_rows(rows, scorer, column_prompts(rows, model)) for rows in datasets]


def score_table(before: list[Report], after: list[Report]) -> str:
    rows = []
    for old, new in zip(before, after, strict=True):
        values = [old.factor * old.primary, new.factor * new.primary]
        change = f"{values[1] - values[0]:+.2f}"
        rows.append([old.name, old.rows, describe_metric(old.primary_metric), *values, change])
    return markdown_table(["dataset", "rows", "metric x 100", "before", "after", "change"], rows)


def main(argv: list[str]) -> None:
    with one_line_errors(PROGRAM):
        folders = list(takewhile(lambda word: not word.startswith("-"), argv))
        options = argv[len(folders) :]
        command = parse_command(PROGRAM, TrimConfig, __doc__, options, **LISTS)
        given = " ".join(folders) or "none"
        require(len(folders) == 2, f"two folders come first, to read and to write; given: {given}")
        trim_vocabulary(folders[0], Path(folders[1]), command.config)


if __name__ == "__main__":
    main(sys.argv[1:])
