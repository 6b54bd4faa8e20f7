"""How a process that used Temporal's SDK ends."""

from __future__ import annotations

import logging
import os
import sys
from typing import NoReturn


def leave(code: int = 0) -> NoReturn:
    """Ends the process without the interpreter's own shutdown.

    On Python 3.11 the SDK's threads can abort the process there (PyGILState_Release) after everything was done. Call
    it last: nothing registered with atexit runs.
    """
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
