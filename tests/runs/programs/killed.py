"""`facezoo`, but the process kills itself at the n-th call of a place.

    FACEZOO_KILL=PLACE:CALL[:RANK] killed.py train ...

The places are moments at which a state is half done: between gradients and weights, while the
files of a checkpoint are written, in the middle of an evaluation.
"""

import os
import signal
import sys

from facezoo.cli import main
from facezoo.training import checkpoint, update
from facezoo.training.hooks import evaluation

PLACES = {
    "update": (update.Update, "_move"),
    "checkpoint": (checkpoint, "write_digests"),
    "evaluation": (evaluation, "judge"),
}


def deadly(function, call):
    calls = 0

    def counted(*arguments, **named):
        nonlocal calls
        calls += 1
        if calls == call:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*arguments, **named)

    return counted


if __name__ == "__main__":
    place, call, *rank = os.environ["FACEZOO_KILL"].split(":")
    if not rank or os.environ.get("RANK") == rank[0]:
        owner, name = PLACES[place]
        setattr(owner, name, deadly(getattr(owner, name), int(call)))
    sys.exit(main(sys.argv[1:]))
