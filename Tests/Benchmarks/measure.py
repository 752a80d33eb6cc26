"""Runs a command; its last line of output is the seconds it took and the peak of its memory in MiB."""

import resource
import subprocess
import sys
import time

began = time.monotonic()
status = subprocess.run(sys.argv[1:]).returncode
seconds = time.monotonic() - began
print(f"{seconds:.2f} {resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024:.0f}", flush=True)
sys.exit(status)
