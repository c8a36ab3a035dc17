"""The sigmoid router on CUDA: one launch forward (choice, weights, counts), one backward.

One program takes BLOCK_T tokens and holds their rows of scores in registers, the experts padded to a power of two.
Everything is float32 inside, whatever the logits' type. Results do not depend on the order of programs: the only atomics
add integers.

The backward needs the logits and the choice alone. With p = s / sum(s) over the chosen experts of a token,

    dlogit = scale * p * (1 - s) * (g - sum(g * p))

where every factor is bounded: it stays finite when all scores vanish, where dividing by sum(s)**2 does not. 1 - s is
computed as sigmoid(-logit), which keeps its digits when s saturates. The dense gradient row is built in registers and
written once: writing zeros and scattering into them would be a race between the threads of a program.

On a device exp and division are approximate: experts whose biased scores differ by a rounding may trade places with the
reference's choice. Equal logits with equal biases always tie, and go to the lowest index.

Not covered: float64 and second derivatives (the reference has both), the gate's matrix product, and tuning on a device:
the launch table follows registers and instruction counts of the sm_90 code (tests/kernels/test_aot.py), not time.
"""

from typing import Any, NamedTuple

import torch
import triton
import triton.language as tl

from kernels.router.reference import EPSILON, Routing


class Launch(NamedTuple):
    block_tokens: int
    num_warps: int


# By experts padded to a power of two. No autotuner: what a run computes must not depend on a timing.
# From 256 on a program is one warp: with more, a row spans warps and each of the 2 K reductions crosses shared memory.
LAUNCHES: dict[int, Launch] = {
    1: Launch(64, 4),
    2: Launch(64, 4),
    4: Launch(64, 4),
    8: Launch(64, 4),
    16: Launch(64, 4),
    32: Launch(32, 4),
    64: Launch(32, 4),
    128: Launch(16, 4),
    256: Launch(2, 1),
    512: Launch(2, 1),
}
# Fused multiply-add changes roundings, and triton's default for it changes between versions: say which one is meant.
OPTIONS = {"enable_fp_fusion": True}

EPSILON_F32 = tl.constexpr(EPSILON)
TAKEN = tl.constexpr(-(2**31))  # ranks below the key of every float, -inf included; padding is taken from the start
FIRST = tl.constexpr(2**31 - 1)


@triton.jit
def _rank_key(preference: tl.tensor) -> tl.tensor:
    """An int32 that orders like the float32, NaN first as in torch.

    Integers, because sm_80 and later reduce them over a warp in one instruction; and because a comparison with NaN is
    false, which could put the maximum into the padding, outside the memory.
    """
    bits = preference.to(tl.int32, bitcast=True)
    return tl.where(preference != preference, FIRST, tl.where(bits < 0, bits ^ 0x7FFFFFFF, bits))


@triton.jit
def _choose(key_TE: tl.tensor, K: tl.constexpr, BLOCK_K: tl.constexpr) -> tuple[tl.tensor, tl.tensor]:
    """The columns of the K greatest keys of each row, ties to the left, and `key_TE` with them taken: 2 K reductions."""
    expert_E = tl.arange(0, key_TE.shape[1])
    choice_K = tl.arange(0, BLOCK_K)
    experts_TK = tl.zeros((key_TE.shape[0], BLOCK_K), tl.int32)
    for k in tl.static_range(K):
        best_TE = key_TE == tl.max(key_TE, axis=1)[:, None]
        expert_T = tl.min(tl.where(best_TE, expert_E[None, :], FIRST), axis=1)
        experts_TK = tl.where(choice_K[None, :] == k, expert_T[:, None], experts_TK)
        key_TE = tl.where(expert_E[None, :] == expert_T[:, None], TAKEN, key_TE)
    return experts_TK, key_TE


@triton.jit
def _count(
    counts_ptr: tl.tensor, source_T: tl.tensor, taken_TE: tl.tensor, num_sources: tl.tensor, E: tl.constexpr
) -> None:
    """Add the block's choices to counts (S, E); a token of source -1 is not counted, padding must not be taken.

    Columns are summed first: one atomic per expert in use, and only for the range of sources that the block spans.
    """
    expert_E = tl.arange(0, taken_TE.shape[1])
    first = tl.min(tl.where(source_T >= 0, source_T, num_sources), axis=0)
    last = tl.max(source_T, axis=0)
    for source in range(first, last + 1):
        count_E = tl.sum((taken_TE & (source_T == source)[:, None]).to(tl.int32), axis=0)
        target_E = counts_ptr + source * E + expert_E
        tl.atomic_add(target_E, count_E.to(tl.int64), mask=count_E > 0, sem="relaxed")


@triton.jit(do_not_specialize=["num_tokens", "num_sources"])
def forward_kernel(
    logits_ptr: tl.tensor,
    bias_ptr: tl.tensor,
    sources_ptr: tl.tensor,  # or None
    weights_ptr: tl.tensor,
    experts_ptr: tl.tensor,
    counts_ptr: tl.tensor,
    num_tokens: tl.tensor,
    num_sources: tl.tensor,
    scale: tl.tensor,
    E: tl.constexpr,
    K: tl.constexpr,
    BLOCK_T: tl.constexpr,
    BLOCK_E: tl.constexpr,
    BLOCK_K: tl.constexpr,
) -> None:
    token_T = tl.program_id(0) * BLOCK_T + tl.arange(0, BLOCK_T)
    expert_E = tl.arange(0, BLOCK_E)
    choice_K = tl.arange(0, BLOCK_K)
    row_T = token_T.to(tl.int64)  # T * E passes 2**31 at 16 M tokens of 128 experts
    inside_TE = (token_T < num_tokens)[:, None] & (expert_E < E)[None, :]
    inside_TK = (token_T < num_tokens)[:, None] & (choice_K < K)[None, :]

    logit_TE = tl.load(logits_ptr + row_T[:, None] * E + expert_E[None, :], mask=inside_TE, other=0.0).to(tl.float32)
    bias_E = tl.load(bias_ptr + expert_E, mask=expert_E < E, other=0.0).to(tl.float32)
    key_TE = _rank_key(tl.sigmoid(logit_TE) + bias_E[None, :])
    experts_TK, key_TE = _choose(tl.where((expert_E < E)[None, :], key_TE, TAKEN), K, BLOCK_K)

    # Reading the chosen logits again hits L1 and replaces K reductions over the row.
    chosen_TK = tl.load(logits_ptr + row_T[:, None] * E + experts_TK, mask=inside_TK, other=0.0).to(tl.float32)
    score_TK = tl.where(inside_TK, tl.sigmoid(chosen_TK), 0.0)
    weight_TK = score_TK / (tl.sum(score_TK, axis=1) + EPSILON_F32)[:, None] * scale
    tl.store(weights_ptr + row_T[:, None] * K + choice_K[None, :], weight_TK, mask=inside_TK)
    tl.store(experts_ptr + row_T[:, None] * K + choice_K[None, :], experts_TK.to(tl.int64), mask=inside_TK)

    if sources_ptr is None:
        source_T = tl.where(token_T < num_tokens, 0, -1)
    else:
        source_T = tl.load(sources_ptr + token_T, mask=token_T < num_tokens, other=-1)
        source_T = tl.where((source_T >= 0) & (source_T < num_sources), source_T, -1).to(tl.int32)
    _count(counts_ptr, source_T, inside_TE & (key_TE == TAKEN), num_sources, E)


@triton.jit(do_not_specialize=["num_tokens"])
def backward_kernel(
    grad_weights_ptr: tl.tensor,
    logits_ptr: tl.tensor,
    experts_ptr: tl.tensor,
    grad_logits_ptr: tl.tensor,
    num_tokens: tl.tensor,
    scale: tl.tensor,
    E: tl.constexpr,
    K: tl.constexpr,
    BLOCK_T: tl.constexpr,
    BLOCK_E: tl.constexpr,
    BLOCK_K: tl.constexpr,
) -> None:
    token_T = tl.program_id(0) * BLOCK_T + tl.arange(0, BLOCK_T)
    expert_E = tl.arange(0, BLOCK_E)
    choice_K = tl.arange(0, BLOCK_K)
    row_T = token_T.to(tl.int64)
    inside_TE = (token_T < num_tokens)[:, None] & (expert_E < E)[None, :]
    inside_TK = (token_T < num_tokens)[:, None] & (choice_K < K)[None, :]

    expert_TK = tl.load(experts_ptr + row_T[:, None] * K + choice_K[None, :], mask=inside_TK, other=0).to(tl.int32)
    logit_TK = tl.load(logits_ptr + row_T[:, None] * E + expert_TK, mask=inside_TK, other=0.0).to(tl.float32)
    grad_TK = tl.load(grad_weights_ptr + row_T[:, None] * K + choice_K[None, :], mask=inside_TK, other=0.0).to(
        tl.float32
    )
    score_TK = tl.where(inside_TK, tl.sigmoid(logit_TK), 0.0)
    share_TK = score_TK / (tl.sum(score_TK, axis=1) + EPSILON_F32)[:, None]
    mean_T = tl.sum(grad_TK * share_TK, axis=1)
    slope_TK = scale * share_TK * tl.sigmoid(-logit_TK) * (grad_TK - mean_T[:, None])

    grad_TE = tl.zeros((BLOCK_T, BLOCK_E), tl.float32)
    for k in tl.static_range(K):
        is_k_K = (choice_K == k)[None, :]
        expert_T = tl.sum(tl.where(is_k_K, expert_TK, 0), axis=1)
        slope_T = tl.sum(tl.where(is_k_K, slope_TK, 0.0), axis=1)
        grad_TE = tl.where(expert_E[None, :] == expert_T[:, None], slope_T[:, None], grad_TE)
    tl.store(grad_logits_ptr + row_T[:, None] * E + expert_E[None, :], grad_TE, mask=inside_TE)


def launch_constants(num_experts: int, top_k: int) -> dict[str, Any]:
    """Compile-time constants and options of both kernels for a shape."""
    block_experts = triton.next_power_of_2(num_experts)
    launch = LAUNCHES[block_experts]
    blocks = {"BLOCK_T": launch.block_tokens, "BLOCK_E": block_experts, "BLOCK_K": triton.next_power_of_2(top_k)}
    return {"E": num_experts, "K": top_k, **blocks, "num_warps": launch.num_warps, **OPTIONS}


class _Route(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        logits_TE: torch.Tensor,
        bias_E: torch.Tensor,
        sources_T: torch.Tensor | None,
        top_k: int,
        scale: float,
        num_sources: int,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        num_tokens, num_experts = logits_TE.shape
        device = logits_TE.device
        weights_TK = torch.empty((num_tokens, top_k), dtype=torch.float32, device=device)
        experts_TK = torch.empty((num_tokens, top_k), dtype=torch.int64, device=device)
        counts_SE = torch.zeros((num_sources, num_experts), dtype=torch.int64, device=device)
        constants = launch_constants(num_experts, top_k)
        grid = (triton.cdiv(num_tokens, constants["BLOCK_T"]),)
        with torch.cuda.device_of(logits_TE):  # triton launches on the current device; no effect for tensors on the CPU
            forward_kernel[grid](
                logits_TE,
                bias_E,
                sources_T,
                weights_TK,
                experts_TK,
                counts_SE,
                num_tokens,
                num_sources,
                scale,
                **constants,
            )
        ctx.save_for_backward(logits_TE, experts_TK)
        ctx.constants, ctx.grid, ctx.scale = constants, grid, scale
        ctx.mark_non_differentiable(experts_TK, counts_SE)
        return weights_TK, experts_TK, counts_SE

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad_weights_TK: torch.Tensor, *_: Any) -> tuple[torch.Tensor | None, ...]:
        logits_TE, experts_TK = ctx.saved_tensors
        grad_TE = torch.empty_like(logits_TE)
        grad_weights_TK = grad_weights_TK.contiguous()
        with torch.cuda.device_of(logits_TE):
            backward_kernel[ctx.grid](
                grad_weights_TK, logits_TE, experts_TK, grad_TE, len(logits_TE), ctx.scale, **ctx.constants
            )
        return grad_TE, None, None, None, None, None


def route(
    logits_TE: torch.Tensor,
    bias_E: torch.Tensor,
    *,
    top_k: int,
    scale: float,
    sources_T: torch.Tensor | None = None,
    num_sources: int = 1,
) -> Routing:
    """See `kernels.route`, which has checked the arguments."""
    sources_T = None if sources_T is None else sources_T.contiguous()
    outputs = _Route.apply(logits_TE.contiguous(), bias_E.contiguous(), sources_T, top_k, scale, num_sources)
    return Routing(*outputs)
