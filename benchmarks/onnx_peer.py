"""ONNX Runtime with int8 weights and dynamically quantised products, as a peer of encoding."""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from transformers import AutoModel, AutoTokenizer

BATCH = 32
PACKAGES = ("onnx", "onnxruntime", "onnxscript")


def missing_packages() -> list[str]:
    """The packages that the peer needs and that are not installed."""
    return [name for name in PACKAGES if find_spec(name) is None]


class _States(torch.nn.Module):
    """Token ids and mask -> the states of the last layer."""

    def __init__(self, path: str):
        super().__init__()
        self.model = AutoModel.from_pretrained(path, attn_implementation="eager").eval()

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        return self.model(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state


def onnx_encoder(path: str, folder: Path) -> Callable[[list[str]], np.ndarray]:
    """`encode` of an exported encoder with mean pooling and vectors of length 1: batches of 32
    texts sorted by length, weights in int8 per channel."""
    import onnxruntime
    from onnxruntime.quantization import QuantType, quantize_dynamic

    tokenizer = AutoTokenizer.from_pretrained(path)
    batch = tokenizer(["a text", "another text"], return_tensors="pt")
    axes = {0: torch.export.Dim("batch"), 1: torch.export.Dim("length")}
    torch.onnx.export(
        _States(path),
        (batch["input_ids"], batch["attention_mask"]),
        str(folder / "fp32.onnx"),
        input_names=["input_ids", "attention_mask"],
        output_names=["states"],
        dynamic_shapes={"input_ids": axes, "attention_mask": axes},
        dynamo=True,
    )
    quantize_dynamic(
        folder / "fp32.onnx", folder / "int8.onnx", per_channel=True, weight_type=QuantType.QInt8
    )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(folder / "int8.onnx", options)
    max_length = tokenizer.model_max_length

    def encode(texts: list[str]) -> np.ndarray:
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        parts = []
        for start in range(0, len(texts), BATCH):
            chosen = [texts[i] for i in order[start : start + BATCH]]
            encoded = tokenizer(
                chosen, padding=True, truncation=True, max_length=max_length, return_tensors="np"
            )
            mask = encoded["attention_mask"]
            inputs = {"input_ids": encoded["input_ids"], "attention_mask": mask}
            (states,) = session.run(None, inputs)
            sums = (states * mask[..., None]).sum(axis=1)  # the mean, but for its length
            parts.append(sums / np.linalg.norm(sums, axis=1, keepdims=True))
        vectors = np.concatenate(parts)
        return vectors[np.argsort(order)]

    return encode
