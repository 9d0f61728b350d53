"""What benchmarks/mining.py measures, by task: functions of queries (Q, H), a corpus (N, H) and k.

Libraries are imported when a system is first called: each runs in a process of its own, whose
memory is measured.
"""

from importlib.util import find_spec

import numpy as np
import torch

IN_BF16, INT8_LIMIT = "sbert, bf16", "limit: int8 product alone"


def on_device(vectors: np.ndarray) -> torch.Tensor:
    """On the GPU, where there is one: there encode leaves them for whoever asks for tensors."""
    from sbert.device import default_device

    return torch.from_numpy(vectors).to(default_device())


def sbert_search(queries, corpus, k=10):
    from sbert.device import default_device
    from sbert.mining.search.top_k import top_k

    return top_k(queries, corpus, k, device=default_device())[1]


def sbert_search_in_bf16(queries, corpus, k=10):
    """Without the pass in int8."""
    from sbert.mining.search.top_k import top_k

    return top_k(queries, corpus, k, precision="bf16")[1]


def faiss_search(queries, corpus, k=10):
    import faiss

    faiss.omp_set_num_threads(torch.get_num_threads())
    queries = queries / np.linalg.norm(queries, axis=1, keepdims=True)
    corpus = corpus / np.linalg.norm(corpus, axis=1, keepdims=True)
    index = faiss.IndexFlatIP(corpus.shape[1])
    if torch.cuda.is_available() and hasattr(faiss, "StandardGpuResources"):
        index = faiss.index_cpu_to_gpu(faiss.StandardGpuResources(), 0, index)
    index.add(corpus)
    return index.search(queries, k)[1]


def sentence_transformers_search(queries, corpus, k=10):
    from sentence_transformers.util import semantic_search

    hits = semantic_search(on_device(queries), on_device(corpus), top_k=k)
    return [[hit["corpus_id"] for hit in row] for row in hits]


def torch_search(queries, corpus, k=10):
    queries = torch.nn.functional.normalize(on_device(queries))
    corpus = torch.nn.functional.normalize(on_device(corpus))
    block = 256 if corpus.device.type == "cpu" else 4096
    return torch.cat([(part @ corpus.T).topk(k)[1] for part in queries.split(block)]).cpu()


def int8_products(queries, corpus, k=10):
    """The limit of a search that multiplies in int8: the products alone, with sums of 32 bits."""
    queries, corpus = ((127 * on_device(x)).to(torch.int8) for x in (queries, corpus))
    on_cpu = corpus.device.type == "cpu"
    # a GPU has products of 17 queries or more, and of vectors by eights
    queries, corpus = queries[: len(queries) // 32 * 32], corpus[: len(corpus) // 8 * 8]
    for block in queries.split(1024 if on_cpu else 4096):
        for vectors in corpus.split(2048 if on_cpu else len(corpus)):
            product = torch._int_mm(block, vectors.T)
    product[0, 0].item()  # waits for the device
    return []


def bf16_products(queries, corpus, k=10):
    """The limit of a search that multiplies in bf16: the products alone."""
    queries = on_device(queries).bfloat16()
    corpus = on_device(corpus).bfloat16()
    size = 256 if corpus.device.type == "cpu" else 4096
    scores = torch.empty(size, len(corpus), dtype=torch.bfloat16, device=corpus.device)
    for block in queries.split(size):
        torch.mm(block, corpus.T, out=scores[: len(block)])
    scores[0, 0].item()  # waits for the device
    return []


def bf16_half_products(queries, corpus, k=10):
    """The limit of a comparison of all pairs: half of the products of all with all."""
    return bf16_products(corpus[: len(corpus) // 2], corpus)


def sbert_pairs(queries, corpus, k=10):
    from sbert.mining.search.similar_pairs import similar_pairs

    return similar_pairs(corpus)[1]


def sbert_pairs_from_threshold(queries, corpus, k=10):
    from sbert.mining.search.similar_pairs import similar_pairs

    return similar_pairs(corpus, threshold=0.8)[1]


def sentence_transformers_pairs(queries, corpus, k=10):
    from sentence_transformers.util import paraphrase_mining_embeddings

    return [pair[1:] for pair in paraphrase_mining_embeddings(on_device(corpus))]


def sbert_clusters(queries, corpus, k=10):
    from sbert.mining.clusters import communities
    from sbert.mining.search.similar_pairs import distinct_pairs

    return communities(*distinct_pairs(corpus, 0.75, 20_000_000), 10)


def sentence_transformers_clusters(queries, corpus, k=10):
    from sentence_transformers.util import community_detection

    return community_detection(on_device(corpus), threshold=0.75, min_community_size=10)


SYSTEMS = {
    "search": {
        "sbert": sbert_search,
        IN_BF16: sbert_search_in_bf16,
        "FAISS IndexFlatIP": faiss_search,
        "sentence-transformers": sentence_transformers_search,
        "torch, fp32 product + topk": torch_search,
        "limit: bf16 product alone": bf16_products,
        INT8_LIMIT: int8_products,
    },
    "pairs": {
        "sbert": sbert_pairs,
        "sbert, threshold 0.8": sbert_pairs_from_threshold,
        "sentence-transformers": sentence_transformers_pairs,
        "limit: bf16 product alone": bf16_half_products,
    },
    "clusters": {
        "sbert": sbert_clusters,
        "sentence-transformers": sentence_transformers_clusters,
        "limit: bf16 product alone": bf16_half_products,
    },
}

PACKAGES = {"FAISS IndexFlatIP": "faiss", "sentence-transformers": "sentence_transformers"}


def is_installed(system: str) -> bool:
    """Whether a system is there: the search in bf16 where auto multiplies in int8, and the products
    of int8 where the hardware has them."""
    if system in (IN_BF16, INT8_LIMIT):
        from sbert.device import default_device
        from sbert.mining.search.int8 import int8_is_fast

        on_cpu = default_device().type == "cpu"
        return int8_is_fast() if on_cpu else system == INT8_LIMIT
    return system not in PACKAGES or find_spec(PACKAGES[system]) is not None
