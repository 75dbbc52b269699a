"""What a command takes, as JSON: seconds on the clock, seconds of the processor, and bytes of memory at most.

    python benchmarks/cost.py COMMAND...

A process of its own, and a small one: the system counts to the peak of a new process also what the one that started it
takes at that moment.
"""

import json
import resource
import subprocess
import sys
import time

began = time.perf_counter()
done = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL)
seconds = time.perf_counter() - began
used = resource.getrusage(resource.RUSAGE_CHILDREN)
peak = used.ru_maxrss * (1 if sys.platform == "darwin" else 2**10)
print(json.dumps({"seconds": seconds, "processor": used.ru_utime + used.ru_stime, "peak": peak}))
sys.exit(done.returncode)
