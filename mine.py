"""Mine texts: embeddings, neighbours, similar pairs, clusters, hard negatives, rankings.

python mine.py embed      --texts.path pool.txt --model models/all-MiniLM-L6-v2 --output pool.npy
python mine.py neighbours --corpus.path corpus.txt --queries.path queries.txt \\
                          --model runs/stsb/best --output found.jsonl
python mine.py pairs      --texts.path corpus.txt --threshold 0.8 --output pairs.tsv \\
                          --model runs/stsb/best
python mine.py clusters   --texts.path corpus.txt --threshold 0.75 --output clusters.jsonl \\
                          --model runs/stsb/best
python mine.py negatives  --config configs/mine/scifact_negatives.yaml
python mine.py rank       --model runs/cross_stsb/best --query "A man plays a guitar." \\
                          --documents.path candidates.txt

python mine.py <task> --help shows the options of a task. Searches are exact, but in int8 and binary
embeddings (embed --store). Run an interrupted command again to resume it. accelerate launch mine.py
<task> ... shares the work between processes.
Silver pairs: augment.py.
"""

import importlib
import sys

from sbert.cli import choose_task, parse_command
from sbert.errors import one_line_errors
from sbert.mining.config import (
    ClustersConfig,
    EmbedConfig,
    NegativesTaskConfig,
    NeighboursConfig,
    PairsConfig,
    RankConfig,
)

TASKS = {
    "embed": (EmbedConfig, "sbert.mining.embed", "mine_embeddings"),
    "neighbours": (NeighboursConfig, "sbert.mining.neighbours", "mine_neighbours"),
    "pairs": (PairsConfig, "sbert.mining.pairs", "mine_pairs"),
    "clusters": (ClustersConfig, "sbert.mining.clusters", "mine_clusters"),
    "negatives": (NegativesTaskConfig, "sbert.mining.negatives", "mine_negatives"),
    "rank": (RankConfig, "sbert.mining.rank", "rank_documents"),
}
MOVED = {"silver": "augment.py silver"}
OVERWRITE = {"overwrite": "Replace the output, finished or not."}


def main(argv: list[str]) -> None:
    with one_line_errors("mine.py"):
        task, rest = choose_task("mine.py", argv, __doc__, TASKS, MOVED)
        schema, module, function = TASKS[task]
        flags = {} if task == "rank" else OVERWRITE
        usage = schema.__doc__.partition("Args:")[0]
        command = parse_command(f"mine.py {task}", schema, usage, rest, flags)
        # loads transformers: after the options were checked
        run = getattr(importlib.import_module(module), function)
        if task == "rank":
            run(command.config)
        else:
            from sbert.mining.task import run_task

            run_task(run, command.config, **command.flags)


if __name__ == "__main__":
    main(sys.argv[1:])
