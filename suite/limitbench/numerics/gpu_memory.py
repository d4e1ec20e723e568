"""A batch that finds no room on a GPU waits for it: other processes share the card, and its own cache may hold much.

A batch is the smallest piece of work and has a fixed size, since its numbers must not depend on the card: blocks are
drawn one batch after the other, whose results leave the card at once, so that a worker holds one batch at a time.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

#: Tries of one batch, and seconds before the second one, doubled each time.
TRIES, PAUSE_SECONDS = 6, 0.25

Drawn = TypeVar("Drawn")


def with_room(draw: Callable[[], Drawn]) -> Drawn:
    """What `draw` returns; where the GPU has no room for it, its cache is emptied and `draw` tried again after a pause.

    Raises:
        torch.OutOfMemoryError: the last of `TRIES` tries found no room, after 8 s in all.
    """
    import torch

    for pause in (PAUSE_SECONDS * 2.0**k for k in range(TRIES - 1)):
        try:
            return draw()
        except torch.OutOfMemoryError:
            pass
        # outside of the handler: the error's frames hold the tensors of the try
        torch.cuda.empty_cache()
        time.sleep(pause)
    return draw()
