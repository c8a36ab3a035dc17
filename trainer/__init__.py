"""Eat the feed: a GLM-4.5-shaped mixture of experts in megatron-core, stage by stage."""
