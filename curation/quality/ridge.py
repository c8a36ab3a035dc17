"""Ridge regression on dense numbers and a sparse matrix of n-grams, solved by conjugate gradients in float64.

The sums have a fixed order, that of numpy and of scipy's sparse products and not that of a linear algebra library, which depends on its
threads: the same examples give the same weights, bit for bit. Models of all examples and of some are solved together, because it is going
through the cells that costs: one of 4,000 source files and those of three folds take 1.4 CPU seconds, one by one 3.7.

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
    dense = [_standardised(examples.dense_NF, mean_F, scale_F) for mean_F, scale_F in zip(means, scales, strict=True)]
    chosen_NB = np.stack(choices, axis=1)
    system = _System(examples, dense, chosen_NB, used)
    solution_WB = _conjugate_gradients(system, np.where(chosen_NB, labels_N[:, None] - constants, 0.0), ridge)
    num_dense = examples.dense_NF.shape[1]
    found = []
    for model, solution in enumerate(solution_WB.T):
        slots_S = np.zeros(num_slots, np.float32)
        slots_S[used] = solution[num_dense + 1 :]
        constant = constants[model] + float(solution[num_dense])
        found.append(Weights(slots_S, solution[:num_dense].copy(), means[model], scales[model], constant))
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
    """The chosen examples as a matrix A for each model: dense numbers, a constant, and the slots that occur, which the models share."""

    def __init__(
        self, examples: Examples, dense: Sequence[np.ndarray], chosen_NB: np.ndarray, used: np.ndarray
    ) -> None:
        self.chosen_NB = chosen_NB.astype(np.float64)
        num_docs = len(chosen_NB)
        self.columns_FNB = np.stack([*np.stack(dense, axis=2).transpose(1, 0, 2), np.ones(chosen_NB.shape)])
        place_S = np.zeros(int(used[-1]) + 1 if len(used) else 0, np.int32)
        place_S[used] = np.arange(len(used))
        first_N = np.searchsorted(examples.doc_K, np.arange(num_docs + 1))
        self.slots_NS = scipy.sparse.csr_matrix(
            (examples.value_K.astype(np.float64), place_S[examples.slot_K], first_N), (num_docs, len(used))
        )

    def times(self, w_WB: np.ndarray) -> np.ndarray:
        """A w, of all examples."""
        num_dense = len(self.columns_FNB)
        total_NB = self.slots_NS @ w_WB[num_dense:]
        for column_NB, weight_B in zip(self.columns_FNB, w_WB[:num_dense], strict=True):
            total_NB += weight_B * column_NB
        return total_NB

    def transposed_times(self, r_NB: np.ndarray) -> np.ndarray:
        """A^T r, of the chosen examples."""
        r_NB = r_NB * self.chosen_NB
        dense = [(column_NB * r_NB).sum(axis=0) for column_NB in self.columns_FNB]
        return np.concatenate([dense, self.slots_NS.T @ r_NB])


def _conjugate_gradients(system: _System, target_NB: np.ndarray, ridge: float) -> np.ndarray:
    """w with (A^T A + ridge) w = A^T target, for each model; one that is found waits for the others."""
    residual = system.transposed_times(target_NB)
    w, direction = np.zeros_like(residual), residual.copy()
    square_B = (residual * residual).sum(axis=0)
    enough_B = square_B * _TOLERANCE**2
    for _ in range(_MAX_ITERATIONS):
        is_open_B = square_B > enough_B
        if not is_open_B.any():
            break
        image = system.transposed_times(system.times(direction)) + ridge * direction
        curved_B = (direction * image).sum(axis=0)
        step_B = np.divide(square_B, curved_B, out=np.zeros_like(square_B), where=is_open_B)
        w += step_B * direction
        residual -= step_B * image
        before_B, square_B = square_B, np.where(is_open_B, (residual * residual).sum(axis=0), square_B)
        turn_B = np.divide(square_B, before_B, out=np.zeros_like(square_B), where=is_open_B)
        direction = residual + turn_B * direction
    return w


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
