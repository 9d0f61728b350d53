"""Training the word embeddings that occur against training all: seconds a step, memory, last/.

python benchmarks/word_embeddings.py models/all-MiniLM-L6-v2 stsb
python benchmarks/word_embeddings.py models/multilingual-e5-small stsb_multi_mt/de

Every figure is of a process of its own, and the two settings take turns. 30 steps of 16 pairs at
precision auto, after 3 that are not timed, without evaluation. Seconds are of the processor's time,
which other work on the machine changes little; use OMP_NUM_THREADS=1.
"""

import argparse
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

WARM_UP = 3
SETTINGS = ("all", "auto")


def train(model: str, dataset: str, setting: str, steps: int) -> None:
    """In a process of its own: print seconds a step, rows trained, and MiB of last/."""
    from sbert import BiEncoder
    from sbert.device import keep_freed_memory, make_accelerator
    from sbert.losses import CosineSimilarityLoss
    from sbert.training.checkpoint import STATE
    from sbert.training.config import LoopConfig, OptimConfig
    from sbert.training.loop import Training
    from sbert.training.objectives.objective import Objective, TrainingSet

    keep_freed_memory()  # as train.py does
    encoder = BiEncoder.from_pretrained(model, max_length=128)
    data = TrainingSet.from_datasets([read_dataset(DatasetConfig(dataset, "train"))], encoder)
    optim = OptimConfig(steps=WARM_UP + steps, word_embeddings=setting)
    with tempfile.TemporaryDirectory() as folder:
        training = Training(
            Objective(encoder, CosineSimilarityLoss()),
            [data],
            optim,
            LoopConfig(evaluate_steps=WARM_UP + steps),
            Path(folder),
            make_accelerator("auto"),
            list,
            encoder.save_pretrained,
        )
        training.wrapped.train()
        for step in range(WARM_UP + steps):
            if step == WARM_UP:
                start = time.process_time()
            training.update()
        seconds = (time.process_time() - start) / steps
        training.finish_step(is_last=True)
        state = (Path(folder) / "last" / STATE).stat().st_size
        training.close()
    rows = len(encoder.transformer.get_input_embeddings().weight)
    print(json.dumps([seconds, rows, state / 2**20]))


def measure(words: list[str]) -> list[float]:
    """Seconds a step, rows trained, MiB of last/, and peak MiB of a process."""
    command = [sys.executable, __file__, *words]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(words)} failed")
    return [*json.loads(output.strip().splitlines()[-1]), usage.ru_maxrss / 1024]


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("model")
    options.add_argument("dataset")
    options.add_argument("--steps", type=int, default=30)
    options.add_argument("--repeats", type=int, default=2)
    options.add_argument("--only", choices=SETTINGS)
    args = options.parse_args()
    if args.only:
        train(args.model, args.dataset, args.only, args.steps)
        return
    found: dict[str, list[list[float]]] = {setting: [] for setting in SETTINGS}
    for _ in range(args.repeats):
        for setting in SETTINGS:
            words = [args.model, args.dataset, "--steps", str(args.steps), "--only", setting]
            found[setting].append(measure(words))
    table = []
    for setting, runs in found.items():
        seconds, rows, state, peak = map(statistics.median, zip(*runs, strict=True))
        ratios = [a[0] / b[0] for a, b in zip(found["all"], runs, strict=True)]
        spread = "" if setting == "all" else f"{min(ratios):.2f} to {max(ratios):.2f}"
        table.append([setting, f"{rows:,.0f}", f"{seconds:.3f}", spread, f"{peak:,.0f}", state])
    header = ["word embeddings", "trained", "s a step", "ratio", "peak MiB", "last/ MiB"]
    print(markdown_table([f"{args.model}, {args.dataset}: {header[0]}", *header[1:]], table))


if __name__ == "__main__":
    main()
