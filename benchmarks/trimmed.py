"""A trimmed vocabulary against the whole one: size, memory, seconds of loading, encoding, training.

python benchmarks/trimmed.py models/multilingual-e5-small models/e5-small-en-de-fr-es

Every figure is of a process of its own; the two models take turns, and the medians of the repeats
are shown. Training is 60 steps of 16 pairs of the German STSb by train.py, its speed the median
over the log's windows after the first two. Encoding is of the German and English test sentences.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from sbert.data.config import DatasetConfig
from sbert.data.rows import read_dataset
from sbert.markdown import markdown_table

REPEATS = 3


def run_process(command: list[str]) -> tuple[str, float]:
    """The last line of the output of a Python process, and its peak MiB."""
    process = subprocess.Popen(
        [sys.executable, *command], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(command)} failed")
    return output.strip().splitlines()[-1], usage.ru_maxrss / 1024


def encode(model: str) -> None:
    """In a process of its own: print the seconds of loading, and sentences per second."""
    from sbert import BiEncoder

    texts: list[str] = []
    for language in ("de", "en"):
        rows = read_dataset(DatasetConfig(f"stsb_multi_mt/{language}", "test"))
        texts += [*rows.texts[0], *rows.texts[1]]
    start = time.perf_counter()
    encoder = BiEncoder.from_pretrained(model)
    loaded = time.perf_counter()
    encoder.encode(texts[:64])
    warm = time.perf_counter()
    encoder.encode(texts)
    seconds = time.perf_counter() - warm
    print(json.dumps([loaded - start, len(texts) / seconds]))


def measure_encoding(model: str) -> dict[str, float]:
    line, peak = run_process([__file__, "--encode", model])
    load, speed = json.loads(line)
    return {"load, s": load, "encode, sentences/s": speed, "encode, peak MiB": peak}


def measure_training(model: str) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        options = {
            "name": "run",
            "runs": folder,
            "model.path": model,
            "model.max_length": "128",
            "data.train": json.dumps([{"path": "stsb_multi_mt/de", "split": "train"}]),
            "loss": "CosineSimilarityLoss",
            "optim.steps": "60",
        }
        words = [word for name, value in options.items() for word in (f"--{name}", value)]
        _, peak = run_process(["train.py", *words])
        lines = (Path(folder) / "run/metrics.jsonl").read_text("utf-8").splitlines()
        state = (Path(folder) / "run/last/state.safetensors").stat().st_size
    windows = [row["pairs_per_second"] for row in map(json.loads, lines) if row["kind"] == "train"]
    speed = statistics.median(windows[2:])
    return {"train, pairs/s": speed, "train, peak MiB": peak, "last/, MiB": state / 2**20}


def main(models: list[str]) -> None:
    if models[0] == "--encode":
        return encode(models[1])
    found: dict[str, dict[str, list[float]]] = {model: {} for model in models}
    for _ in range(REPEATS):
        for model, values in found.items():
            for name, value in (measure_encoding(model) | measure_training(model)).items():
                values.setdefault(name, []).append(value)
    rows = []
    for name in found[models[0]]:
        whole, trimmed = (statistics.median(values[name]) for values in found.values())
        rows.append([name, whole, trimmed, trimmed / whole])
    print(markdown_table(["", *models, "ratio"], rows))


if __name__ == "__main__":
    main(sys.argv[1:])
