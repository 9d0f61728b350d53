"""Sentence embeddings in plain PyTorch.

The public names are imported when they are first used, so that `import sbert` alone is fast: it
loads neither torch nor transformers.
"""

import importlib

_MODULES = {
    "BiEncoder": "sbert.models.bi_encoder",
    "CrossEncoder": "sbert.models.cross_encoder",
    "InputError": "sbert.errors",
    "similarity": "sbert.models.similarity",
}
__all__ = sorted(_MODULES)


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module 'sbert' has no attribute '{name}'")
    return getattr(importlib.import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
