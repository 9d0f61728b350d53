"""Train a bi-encoder or a cross-encoder: one run from one YAML file.

python train.py --config configs/demo.yaml
python train.py --config configs/sbert/stsb.yaml --optim.lr 3e-5 --name stsb-lr3e-5
python train.py --config configs/cross/stsb.yaml
accelerate launch train.py --config configs/sbert/nli.yaml --resume

The run folder, runs/<name>/, holds config.yaml, metrics.jsonl and TensorBoard's events, last/ to
resume from, and best/, the model with the best score on the dev sets. Watch a run with:
tensorboard --logdir runs
"""

import sys

from sbert.cli import parse_command
from sbert.errors import one_line_errors
from sbert.training.config import TrainConfig

FLAGS = {
    "resume": "Resume from the run's last/.",
    "overwrite": "Delete a run of the same name first.",
}


def main(argv: list[str]) -> None:
    with one_line_errors("train.py"):
        command = parse_command("train.py", TrainConfig, __doc__, argv, FLAGS)
        from sbert.training.run import Run  # loads transformers: after the options were checked

        Run(command.config, command.options, command.config_yaml, **command.flags)()


if __name__ == "__main__":
    main(sys.argv[1:])
