"""Codes of examples beside the best linear ones, seen from above, and on the way to one another."""

import numpy as np
from sklearn.decomposition import PCA  # type: ignore[import-untyped]
from sklearn.manifold import TSNE  # type: ignore[import-untyped]

PERPLEXITY = 30  # about how many neighbours t-SNE keeps together


def of_components(train: np.ndarray, x: np.ndarray, count: int) -> np.ndarray:
    """What the first `count` principal components of `train` [n, ...] keep of x [m, ...].

    No linear code of so many numbers has a smaller squared error (Baldi and Hornik 1989).
    """
    known, asked = (part.reshape(len(part), -1).astype(np.float32) for part in (train, x))
    pca = PCA(min(count, *known.shape), svd_solver="covariance_eigh")
    return pca.fit(known).inverse_transform(pca.transform(asked)).reshape(x.shape)


def mapped(codes: np.ndarray) -> np.ndarray:
    """A place on a map for each of codes [n, k], by t-SNE (van der Maaten and Hinton 2008): [n, 2].

    Neighbours stay neighbours; distances between groups mean little.
    """
    perplexity = min(PERPLEXITY, (len(codes) - 1) / 3)
    tsne = TSNE(perplexity=perplexity, max_iter=500, init="random", random_state=0)
    return tsne.fit_transform(codes)


def walks(codes: np.ndarray, steps: int) -> np.ndarray:
    """Codes [n - 1, steps, k] along the straight line from each of codes [n, k] to the next."""
    share = np.linspace(0, 1, steps, dtype=codes.dtype)[:, None]
    return codes[:-1, None] * (1 - share) + codes[1:, None] * share
