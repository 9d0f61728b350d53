"""What is said of weights of another shape; test_backbone.py and test_classifier.py load such."""

import pytest
from safetensors.torch import load_file, save_file
from tiny_models import word_pieces, write_classifier
from transformers import AutoModel

from sbert import InputError
from sbert.models.folders.shapes import refuse_mismatches

IN_MODEL = "embeddings.word_embeddings.weight"
IN_FILE = f"bert.{IN_MODEL}"
BY_VERSION = {
    "name in the file": [IN_FILE],
    "tuple with it": [(IN_FILE, (1, 1), (2, 2))],
    "tuple with the name in the model": {(IN_MODEL, (1, 1), (2, 2))},
}


@pytest.mark.parametrize("mismatched", BY_VERSION.values(), ids=BY_VERSION)
def test_what_every_version_of_transformers_reports(mismatched, tmp_path):
    model = AutoModel.from_pretrained(write_classifier(tmp_path))
    file = tmp_path / "model.safetensors"
    weights = load_file(file)
    weights[IN_FILE] = weights[IN_FILE][2:].clone()
    save_file(weights, file)
    with pytest.raises(InputError) as caught:
        refuse_mismatches(tmp_path, model, mismatched)
    rows = len(word_pieces())
    assert str(caught.value) == (
        f"{file}: {IN_FILE} has the shape {rows - 2} x 32, and config.json asks for {rows} x 32: "
        f"vocab_size is {rows}, and {rows - 2} would fit"
    )
    refuse_mismatches(tmp_path, model, [])
