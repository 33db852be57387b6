"""What only the first process does."""

import os


def is_rank_zero() -> bool:
    """Whether this process is the first of its group, before and after torch.distributed starts."""
    names = ("RANK", "SLURM_PROCID", "LOCAL_RANK")
    return next((os.environ[name] for name in names if name in os.environ), "0") == "0"
