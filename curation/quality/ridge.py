"""Ridge regression on dense numbers and a sparse matrix of n-grams, solved by conjugate gradients in float64.

What is solved has an unknown per example, not per slot: the weights that minimise |A w - y|^2 + ridge |w|^2 are w = A^T v with
(A A^T + ridge) v = y, and examples are a tenth or less of the slots. The sums have a fixed order, that of numpy and of scipy's sparse
products and not that of a linear algebra library, which depends on its threads: the same examples give the same weights, bit for bit.
Models of all examples and of some are solved together, because it is going through the cells that costs: one of 3,500 source files and
those of three folds take 0.4 CPU seconds.

Suffixes: N examples, F dense numbers, S slots of n-grams, K cells of the sparse matrix, B models.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import scipy.sparse

_MAX_ITERATIONS, _TOLERANCE = 300, 1e-5
_CUT = 3.0


class Examples(NamedTuple):
    """Features of N documents: dense numbers, and cells of a sparse matrix in the order of documents, then slots."""

    dense_NF: np.ndarray  # float64
    doc_K: np.ndarray  # int32
    slot_K: np.ndarray  # int32
    value_K: np.ndarray  # float32


class Weights(NamedTuple):
    slots_S: np.ndarray  # float32
    dense_F: np.ndarray  # float64
    mean_F: np.ndarray
    scale_F: np.ndarray  # 0 for a number that was the same in all examples
    constant: float


def fit(examples: Examples, labels_N: np.ndarray, chosen_N: np.ndarray, *, num_slots: int, ridge: float) -> Weights:
    """The weights with the least squared error on the chosen examples plus `ridge` times their squares; labels are centred first."""
    return fits(examples, labels_N, [chosen_N], num_slots=num_slots, ridge=ridge)[0]


def fits(
    examples: Examples, labels_N: np.ndarray, choices: Sequence[np.ndarray], *, num_slots: int, ridge: float
) -> list[Weights]:
    """`fit` for each of some choices of examples, bool (N,)."""
    means, scales, constants = [], [], []
    for chosen_N in choices:
        dense_NF = examples.dense_NF[chosen_N]
        deviation_F = dense_NF.std(axis=0)
        means.append(dense_NF.mean(axis=0))
        scales.append(np.divide(1, deviation_F, out=np.zeros_like(deviation_F), where=deviation_F > 1e-12))
        constants.append(float(labels_N[chosen_N].mean()))
    used = np.flatnonzero(np.bincount(examples.slot_K, minlength=num_slots))
    system = _System(examples, means, scales, used)
    chosen_NB = np.stack(choices, axis=1)
    target_NB = np.where(chosen_NB, labels_N[:, None] - constants, 0.0)
    dense_BF, slots_SB = system.transposed_times(_conjugate_gradients(system, chosen_NB, target_NB, ridge))
    found = []
    for model, constant in enumerate(constants):
        slots_S = np.zeros(num_slots, np.float32)
        slots_S[used] = slots_SB[:, model]
        *weights, last = dense_BF[model].tolist()
        found.append(Weights(slots_S, np.array(weights), means[model], scales[model], constant + last))
    return found


def predict(examples: Examples, weights: Weights) -> np.ndarray:
    """float64 (N,). A document's does not depend on the others: its sums have an order of their own."""
    dense_NF = _standardised(examples.dense_NF, weights.mean_F, weights.scale_F)
    total_N = np.full(len(dense_NF), weights.constant)
    for index, weight in enumerate(weights.dense_F.tolist()):
        total_N += weight * dense_NF[:, index]
    if len(weights.slots_S):
        spoken_K = examples.value_K.astype(np.float64) * weights.slots_S[examples.slot_K]
        total_N += np.bincount(examples.doc_K, spoken_K, len(total_N))
    return total_N


class _System:
    """All examples as a matrix A for each model: dense numbers, a constant, and the slots that occur, which the models share."""

    def __init__(
        self, examples: Examples, means: Sequence[np.ndarray], scales: Sequence[np.ndarray], used: np.ndarray
    ) -> None:
        num_docs = len(examples.dense_NF)
        standardised = [_standardised(examples.dense_NF, *moments) for moments in zip(means, scales, strict=True)]
        self.dense_BNF = np.stack([np.hstack([dense_NF, np.ones((num_docs, 1))]) for dense_NF in standardised])
        place_S = np.zeros(int(used[-1]) + 1 if len(used) else 0, np.int32)
        place_S[used] = np.arange(len(used))
        first_N = np.searchsorted(examples.doc_K, np.arange(num_docs + 1))
        self.slots_NS = scipy.sparse.csr_matrix(
            (examples.value_K.astype(np.float64), place_S[examples.slot_K], first_N), (num_docs, len(used))
        )

    def times(self, dense_BF: np.ndarray, slots_SB: np.ndarray) -> np.ndarray:
        """A w: float64 (N, B)."""
        return np.einsum("bnf,bf->nb", self.dense_BNF, dense_BF) + self.slots_NS @ slots_SB

    def transposed_times(self, v_NB: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """A^T v, of the dense numbers and of the slots."""
        return np.einsum("bnf,nb->bf", self.dense_BNF, v_NB), self.slots_NS.T @ v_NB


def _conjugate_gradients(system: _System, chosen_NB: np.ndarray, target_NB: np.ndarray, ridge: float) -> np.ndarray:
    """v with (A A^T + ridge) v = target for each model, 0 for what was not chosen; one that is found waits for the others."""
    residual, v_NB = target_NB.copy(), np.zeros_like(target_NB)
    direction, square_B = residual.copy(), _square(residual)
    enough_B = square_B * _TOLERANCE**2
    for _ in range(_MAX_ITERATIONS):
        is_open_B = square_B > enough_B
        if not is_open_B.any():
            break
        image = system.times(*system.transposed_times(direction)) * chosen_NB + ridge * direction
        step_B = np.divide(square_B, (direction * image).sum(axis=0), out=np.zeros_like(square_B), where=is_open_B)
        v_NB += step_B * direction
        residual -= step_B * image
        before_B, square_B = square_B, np.where(is_open_B, _square(residual), square_B)
        turn_B = np.divide(square_B, before_B, out=np.zeros_like(square_B), where=is_open_B)
        direction = residual + turn_B * direction
    return v_NB


def _square(residual_NB: np.ndarray) -> np.ndarray:
    return (residual_NB * residual_NB).sum(axis=0)


class Learned(NamedTuple):
    weights: Weights  # from all examples
    held_out_N: np.ndarray  # float64, what models say that did not see the label; none without folds


def learn(
    examples: Examples, labels_N: np.ndarray, draws_N: np.ndarray, *, folds: int, num_slots: int, ridge: float
) -> Learned:
    """A model of all examples, and what others say of what they did not see: documents are dealt to the folds in the order of their draws,
    equal ones together."""
    fold_N = np.unique(draws_N, return_inverse=True)[1] % max(1, folds)
    choices = [np.ones(len(labels_N), bool), *(fold_N != fold for fold in range(folds))]
    weights, *others = fits(examples, labels_N, choices, num_slots=num_slots, ridge=ridge)
    held_out_N = np.zeros(len(labels_N) if folds else 0)
    for fold, model in enumerate(others):
        held_out_N[fold_N == fold] = predict(examples, model)[fold_N == fold]
    return Learned(weights, held_out_N)


def _standardised(dense_NF: np.ndarray, mean_F: np.ndarray, scale_F: np.ndarray) -> np.ndarray:
    """Of unit length on average, so that what there is of it does not depend on how many numbers there are."""
    return np.clip((dense_NF - mean_F) * scale_F, -_CUT, _CUT) / np.sqrt(max(1, dense_NF.shape[1]))
