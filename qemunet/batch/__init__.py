"""Batches: many runs over a parameter space, with repetitions, resumed after any stop.

The package itself can be called: ``qemunet.batch("sweep.yaml", jobs=2)`` runs a batch and returns a DataFrame.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


class _Batch(ModuleType):
    def __call__(self, *arguments: Any, **options: Any) -> pd.DataFrame:
        """Run a batch: see ``qemunet.batch.python.batch``."""
        from qemunet.batch.python import batch

        return batch(*arguments, **options)


# qemunet.batch is this package and, for users, a function: whichever was imported first, it is both.
sys.modules[__name__].__class__ = _Batch
