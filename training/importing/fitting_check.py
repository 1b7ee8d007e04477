"""A fitted graph held against the foreign one that it was made from, on the same pictures."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from models.package import ModelPackage
from models.session import RUNTIME_ERRORS
from training.export import PARITY, ExportRefused, session_outputs
from training.graphs import run_graph
from training.importing import ImportRefused
from training.importing.surgery import LEAST_PROBABILITY, Fitting

MOST_OUTSIDE = 1e-4
"""How far probabilities may lie outside 0..1, by rounding."""


def check_fitting(
    content: bytes, fitting: Fitting, pictures: NDArray[np.float32], *, package: ModelPackage
) -> Mapping[str, object]:
    """Compare the package, all pictures in one batch, with the foreign graph, picture by picture.

    Args:
        content: The foreign graph.
        fitting: How it was fitted.
        pictures: float32 (n, 1, rows, columns), 0..1.
        package: Holds the fitted graph.

    Returns:
        What was found, as JSON values.

    Raises:
        ImportRefused: The graph takes one picture at a time only, its scores are not what was said, or the two differ
            by more than PARITY in probability.
    """
    low, high = fitting.value_range
    foreign = pictures * np.float32(high - low) + np.float32(low)
    foreign = foreign.transpose(0, 1, 3, 2) if fitting.columns_first else foreign
    try:
        scores = run_graph(content, foreign, batch=1)[fitting.scores_output]
    except RUNTIME_ERRORS as error:
        raise ImportRefused(f"ONNX Runtime cannot run the bundle's graph: {str(error)[:200]}") from error
    wanted = _probabilities(scores.astype(np.float64), fitting)
    try:
        found = sigmoid(session_outputs(package, pictures, precision="fp32")[0].astype(np.float64))
    except ExportRefused as refusal:
        raise ImportRefused(f"the graph cannot take several pictures at a time ({refusal})") from refusal
    difference = float(np.abs(found - wanted).max())
    if not difference <= PARITY:
        raise ImportRefused(
            f"several pictures at a time get other scores than one by one, by up to {difference:.1e} in probability"
        )
    return {"pictures": len(pictures), "largest_difference_in_probability": difference}


def sigmoid(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return probabilities of logits, however large."""
    probabilities: NDArray[np.float64] = np.exp(-np.logaddexp(0, -logits))
    return probabilities


def _probabilities(scores: NDArray[np.float64], fitting: Fitting) -> NDArray[np.float64]:
    """Return the foreign graph's scores (n, all) as probabilities of the chosen findings (n, k)."""
    if not np.isfinite(scores).all():
        raise ImportRefused("the network's scores of a made picture are NaN or infinite")
    if fitting.scores == "exclusive_logits":
        shares = np.exp(scores - scores.max(axis=1, keepdims=True))
        scores = shares / shares.sum(axis=1, keepdims=True)
    elif fitting.scores == "logits":
        scores = sigmoid(scores)
    elif scores.min() < -MOST_OUTSIDE or scores.max() > 1 + MOST_OUTSIDE:
        raise ImportRefused("the scores were said to be probabilities, but lie outside 0 to 1")
    chosen: NDArray[np.float64] = scores[:, list(fitting.channels)]
    return chosen if fitting.scores == "logits" else chosen.clip(LEAST_PROBABILITY, 1 - LEAST_PROBABILITY)
