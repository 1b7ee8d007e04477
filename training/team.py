"""The processes that train together: one by itself, or those that torchrun started."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist

PATIENCE = timedelta(hours=2)
"""How long the others wait for the leader, who makes every film's features first."""


@dataclass(frozen=True, slots=True)
class Team:
    """One process among those of a run."""

    rank: int
    size: int
    device: torch.device

    @property
    def leads(self) -> bool:
        """Does this process write the run's files?"""
        return self.rank == 0

    def leaders(self, figures: Sequence[float]) -> tuple[float, ...]:
        """Return the leader's figures, so that all decide alike whatever their last bits."""
        told = [tuple(figures)]
        if self.size > 1:
            dist.broadcast_object_list(told)
        return told[0]

    def wait(self) -> None:
        """Wait for the others."""
        if self.size > 1:
            dist.barrier()


def join_team() -> Team:
    """Join the processes that torchrun started, or be alone; on a GPU where there is one.

    Raises:
        SystemExit: More processes were started on this machine than it has GPUs.
    """
    size, rank, local = (int(os.environ.get(name, "0")) for name in ("WORLD_SIZE", "RANK", "LOCAL_RANK"))
    has_gpu = torch.cuda.is_available()
    if has_gpu and local >= torch.cuda.device_count():
        raise SystemExit(f"start no more processes than there are GPUs: --nproc-per-node={torch.cuda.device_count()}")
    device = torch.device("cuda", local) if has_gpu else torch.device("cpu")
    if has_gpu:
        torch.cuda.set_device(device)  # what names no GPU by itself would all go to the first
    if size > 1 and not dist.is_initialized():
        dist.init_process_group("nccl" if has_gpu else "gloo", timeout=PATIENCE)
    return Team(rank, max(1, size), device)
