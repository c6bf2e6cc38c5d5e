"""An app that does not start. Its last act is to say when that was, in nanoseconds of the real-time clock."""

import os
import sys
import time
import traceback

try:
    import a_module_that_nobody_installed  # noqa: F401
except ImportError:
    traceback.print_exc()
    sys.stderr.write(f"crashed-at {time.time_ns()}\n")
    sys.stderr.flush()
    os._exit(1)

app = None
