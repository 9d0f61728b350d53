"""A model folder with fewer pieces: texts say which stay, and a new folder is written."""

import json
import shutil
from collections.abc import Iterable
from dataclasses import replace
from itertools import chain
from pathlib import Path

import numpy as np
from torch import nn
from tqdm.auto import tqdm
from transformers import PretrainedConfig
from trim_tokenizer import choose_ids, trim_content

from sbert import BiEncoder, CrossEncoder
from sbert.data.config import DatasetConfig
from sbert.data.origin import corpus_folder, dataset_name
from sbert.data.rows import read_dataset
from sbert.errors import require
from sbert.markdown import markdown_code
from sbert.models.encoder import Encoder
from sbert.models.families import position_padding
from sbert.models.folders.backbone import is_classifier
from sbert.models.folders.card import ModelCard
from sbert.models.folders.json_files import dump_json, load_json, prefix_errors
from sbert.models.prompts import check_prompts
from sbert.models.tokens import CHUNK
from sbert.texts import unique

# older forms of a vocabulary, which would still hold every piece
_OLD_FORMS = ("vocab.txt", "vocab.json", "merges.txt", "added_tokens.json", "*.model")
_COPIED = ("loss.*",)  # trained losses
# how the names of settings end that are ids of tokens
_ID_SETTINGS = ("_token_id", "_token_ids", "_token_index")


def load_encoder(root: Path) -> Encoder:
    """A folder's cross-encoder if it has a head, else its bi-encoder."""
    kind = CrossEncoder if is_classifier(root) else BiEncoder
    return kind.from_pretrained(root)


def find_prompts(
    model: Encoder, prompts: dict[str, str] | None, default: str | None
) -> tuple[list[str], str]:
    """All that is put before texts, nothing ("") first, and the default prompt.

    Args:
        prompts, default: as given; None: the model's.

    Raises:
        InputError: prompts for a cross-encoder, a default that is not among them.
    """
    if isinstance(model, BiEncoder):
        if prompts is None:
            prompts, default = model.prompts, default or model.default_prompt_name
    else:
        require(
            prompts is None and default is None,
            "prompts and default_prompt_name are for a bi-encoder, not for a cross-encoder",
        )
    prompts = check_prompts(prompts or {}, default)
    return list(dict.fromkeys(["", *prompts.values()])), prompts[default] if default else ""


def read_texts(configs: list[DatasetConfig]) -> list[str]:
    """The distinct texts of datasets of any task, without the empty ones."""
    columns = []
    for config in configs:
        if not (config.task == "retrieval" or corpus_folder(config)):
            config = replace(config, skip_empty=True, teacher=None)  # labels are not read
        columns += read_dataset(config, labels=False).texts
    texts, _ = unique(text for text in chain.from_iterable(columns) if text)
    return texts


def encode_ids(model: Encoder, texts: list[str], prompt: str = "") -> Iterable[list[int]]:
    """The ids of each text after a prompt, without special tokens and uncut; shows progress."""
    tokenizer = model.text_tokenizer
    with tqdm(total=len(texts), desc="tokenise", unit=" texts", disable=None, leave=False) as bar:
        for start in range(0, len(texts), CHUNK):
            chunk = [prompt + text for text in texts[start : start + CHUNK]]
            if tokenizer.lower_case:
                chunk = [text.lower() for text in chunk]
            encodings = tokenizer.backend.encode_batch_fast(chunk, add_special_tokens=False)
            yield from (encoding.ids for encoding in encodings)
            bar.update(len(chunk))


def count_pieces(model: Encoder, texts: list[str], prompts: list[str], size: int) -> np.ndarray:
    """(size,) how often texts use each id; of several prompts the one with which it is most."""
    counts = np.zeros(size, np.int64)
    for prompt in prompts:
        ids = chain.from_iterable(encode_ids(model, texts, prompt))
        counts = np.maximum(counts, np.bincount(np.fromiter(ids, np.int64), minlength=size))
    return counts


def read_content(root: Path, model: Encoder) -> tuple[dict, int]:
    """The tokenizer.json of a model, and the end of its ids.

    Raises:
        InputError: the model has fewer embeddings.
    """
    content = json.loads(model.tokenizer.backend_tokenizer.to_str())
    size = 1 + max(model.tokenizer.get_vocab().values())
    rows = len(model.transformer.get_input_embeddings().weight)
    require(
        size <= rows,
        f"{root}: the tokenizer has ids up to {size - 1}, and the model {rows} embeddings; they "
        "are not of the same model",
    )
    return content, size


def token_configs(transformer: nn.Module) -> dict[str, PretrainedConfig]:
    """The configuration of a model and, if it is nested, that of its texts, by its prefix."""
    whole = transformer.config
    text, configs = whole.get_text_config(), {"": whole}
    for name, value in vars(whole).items():
        if value is text:
            configs[f"{name}."] = text
    return configs


def token_settings(config: PretrainedConfig) -> dict[str, int | list[int]]:
    """The settings of a configuration that are ids of tokens, or lists of them."""
    settings = {}
    for name, value in config.to_dict().items():
        if name.endswith(_ID_SETTINGS) and value is not None:
            settings[name] = value
    return settings


def named_ids(transformer: nn.Module) -> dict[str, int]:
    """The ids of tokens that a model's configuration names, by the name of the setting.

    Such as {"pad_token_id": 0, "eos_token_id[1]": 2, "text_config.bos_token_id": 3}.
    """
    ids = {}
    for prefix, config in token_configs(transformer).items():
        for name, value in token_settings(config).items():
            if isinstance(value, list):
                ids |= {f"{prefix}{name}[{k}]": i for k, i in enumerate(value)}
            else:
                ids[prefix + name] = value
    return ids


def renumber(transformer: nn.Module, new_ids: dict[int, int]) -> None:
    """Put the new ids in a model's configuration."""
    for config in token_configs(transformer).values():
        for name, value in token_settings(config).items():
            if isinstance(value, list):
                setattr(config, name, [new_ids[i] for i in value])
            else:
                setattr(config, name, new_ids[value])


def choose_pieces(root: Path, model: Encoder, content: dict, used: Iterable[int]) -> list[int]:
    """The ids that stay, in order. See `choose_ids`."""
    # positions that start after the id of the padding: it must not move, nor what comes before it
    padding = position_padding(model.transformer)
    before = [] if padding is None else range(padding + 1)
    with prefix_errors(root):
        return choose_ids(content, [*used, *before], named_ids(model.transformer))


def write_trimmed(root: Path, model: Encoder, kept: list[int], new: Path) -> None:
    """Cut a model down to the ids that stay, and write its folder.

    Raises:
        InputError: the folder, read again, has other tokens.
    """
    new_ids = {i: number for number, i in enumerate(kept)}
    transformer = model.transformer
    weight = transformer.get_input_embeddings().weight
    weight.data = weight.data[kept]  # in place: other modules may share it
    transformer.config.get_text_config().vocab_size = len(kept)
    renumber(transformer, new_ids)
    model.save_pretrained(new)
    for pattern in _OLD_FORMS:
        for file in new.glob(pattern):
            file.unlink()
    _trim_tokenizer(new, kept, new_ids)
    for pattern in _COPIED:
        for file in root.glob(pattern):
            shutil.copy(file, new)
    with prefix_errors(new):
        tokens = len(load_encoder(new).tokenizer)
        require(tokens == len(kept), f"has {tokens} tokens where {len(kept)} were written")


def _trim_tokenizer(root: Path, kept: list[int], new_ids: dict[int, int]) -> None:
    """Trim a saved tokenizer.json, and renumber the tokens in tokenizer_config.json."""
    path = root / "tokenizer.json"
    content = trim_content(load_json(path), kept)
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False), "utf-8")
    path = root / "tokenizer_config.json"
    settings = load_json(path)
    added = settings.get("added_tokens_decoder")
    if added:
        numbered = {str(new_ids[int(i)]): token for i, token in added.items()}
        dump_json(path, settings | {"added_tokens_decoder": numbered})


def trimmed_card(
    output: Path, source: str, texts: list[DatasetConfig], min_count: int, sizes: str
) -> ModelCard:
    """The card of the new folder. `sizes`: a table of what has changed."""
    languages = chain.from_iterable(dataset.languages or [] for dataset in texts)
    names = ", ".join(markdown_code(dataset_name(dataset)) for dataset in texts)
    section = (
        "## Vocabulary\n\n"
        "The base model with fewer pieces. Texts whose pieces all stay have the same embeddings; "
        "others are cut into smaller pieces.\n\n"
        f"Pieces stay that these texts use, {min_count} times or more, and all single characters "
        f"and special tokens: {names}.\n\n{sizes}"
    )
    unique_languages = list(dict.fromkeys(languages))
    return ModelCard(output.name, source, languages=unique_languages, sections=[section])
