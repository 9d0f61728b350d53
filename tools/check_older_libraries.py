"""What other versions of sentence-transformers make of the folders that are saved here.

python tools/check_older_libraries.py write FOLDER    here: models of many kinds, and their results
PYTHON tools/check_older_libraries.py read FOLDER     with another environment: a Markdown table

`read` needs sentence-transformers alone. For each folder it prints the largest difference to the
results, as a share of the largest number, or why the folder is not read.
"""

import argparse
import textwrap
import warnings
from pathlib import Path

import numpy as np

TEXTS = ["a cat", "The Man eats 3 apples.", "", "a dog runs in the park " * 30, "naïve café 你好"]
PAIRS = [("a cat", "the dog"), ("The Man eats", "a man sleeps " * 40), ("red", "naïve 你好")]
MAX_LENGTH = 40  # cuts one of the texts


def write(root: Path) -> None:
    """Save the models, each with what it gives for TEXTS or PAIRS."""
    from sbert.pooling import POOLING, Dense, Normalize

    for mode in POOLING:
        write_bi_encoder(root, f"pooling {mode}", mode)
    write_bi_encoder(root, "poolings cls, mean", ["cls", "mean"])
    write_bi_encoder(root, "poolings mean, cls", ["mean", "cls"])
    write_bi_encoder(root, "Dense, Normalize", "mean", head=[Dense(32, 16), Normalize()])
    write_bi_encoder(root, "Normalize", "mean", head=[Normalize()])
    write_bi_encoder(root, "lower_case", "mean", lower_case=True)
    prompts = {"query": "the query : ", "document": "text : "}
    options = {"prompts": prompts, "default_prompt_name": "query"}
    write_bi_encoder(root, "default prompt", "mean", **options)
    write_bi_encoder(root, "prompt not pooled", "mean", include_prompt=False, **options)
    write_bi_encoder(root, "truncate_dim", "mean", truncate_dim=8)
    write_bi_encoder(root, "similarity dot", "mean", similarity_fn_name="dot")
    for name in ("XLM-R", "MPNet", "DeBERTa v2", "ModernBERT", "Qwen2", "Qwen3"):
        write_bi_encoder(root, f"family {name}", "mean", family=name)
        write_cross_encoder(root, f"family {name}", 1, "sigmoid", family=name)
    write_cross_encoder(root, "sigmoid", 1, "sigmoid")
    write_cross_encoder(root, "identity", 1, "identity")
    write_cross_encoder(root, "3 classes", 3, "softmax")


def write_bi_encoder(root: Path, name: str, pooling, family: str = "BERT", **settings) -> None:
    from families import FAMILIES, write_encoder

    from sbert import BiEncoder

    (made,) = [one for one in FAMILIES if one.name == family]
    loaded = BiEncoder.from_pretrained(write_encoder(made, root / "plain"))
    model = BiEncoder(loaded.transformer, loaded.tokenizer, pooling, MAX_LENGTH, **settings).eval()
    folder = root / "bi-encoders" / name
    model.save_pretrained(folder)
    np.save(folder / "results.npy", model.encode(TEXTS, precision="fp32"))


def write_cross_encoder(
    root: Path, name: str, labels: int, activation: str, family: str = "BERT"
) -> None:
    from families import FAMILIES, write_classifier

    from sbert import CrossEncoder

    (made,) = [one for one in FAMILIES if one.name == family]
    loaded = CrossEncoder.from_pretrained(write_classifier(made, root / "plain", labels))
    model = CrossEncoder(loaded.transformer, loaded.tokenizer, MAX_LENGTH, activation).eval()
    folder = root / "cross-encoders" / name
    model.save_pretrained(folder)
    # of classes the logits, as sentence-transformers gives them
    np.save(folder / "results.npy", model.predict(PAIRS, logits=labels > 1, precision="fp32"))


def read(root: Path) -> None:
    """Print the table."""
    import sentence_transformers
    import transformers

    warnings.simplefilter("ignore")
    transformers.logging.set_verbosity_error()
    version = f"{sentence_transformers.__version__} with {transformers.__version__}"
    print(f"| folder | sentence-transformers {version} |\n| --- | --- |")
    for kind, results_of in (("bi-encoders", embeddings), ("cross-encoders", scores)):
        for folder in sorted((root / kind).iterdir()):
            print(f"| {kind[:-1]}, {folder.name} | {compare(folder, results_of)} |")


def compare(folder: Path, results_of) -> str:
    right = np.load(folder / "results.npy")
    try:
        found = np.asarray(results_of(str(folder)))
    except Exception as error:  # a table of what fails must survive every failure
        return textwrap.shorten(f"{type(error).__name__}: {error}", 120)
    if found.shape != right.shape:
        return f"{found.shape} for {right.shape}"
    return f"{np.abs(found - right).max() / np.abs(right).max():.0e}"


def embeddings(folder: str) -> np.ndarray:
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(folder, device="cpu")
    return model.encode(TEXTS, batch_size=1, show_progress_bar=False)


def scores(folder: str) -> np.ndarray:
    from sentence_transformers import CrossEncoder

    model = CrossEncoder(folder, device="cpu")
    return model.predict(PAIRS, batch_size=1, show_progress_bar=False)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("action", choices=["write", "read"])
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    {"write": write, "read": read}[arguments.action](arguments.folder)


if __name__ == "__main__":
    main()
