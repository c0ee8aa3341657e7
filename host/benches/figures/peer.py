"""CPython's side of the comparison: replies to each line `digest MILLISECONDS FILE` with seconds per operation."""

import hashlib
import json
import sys
import time

for line in sys.stdin:
    _, milliseconds, path = line.split()
    with open(path, encoding="utf-8") as file:
        text = file.read()
    end = time.perf_counter() + float(milliseconds) / 1e3
    start, done = time.perf_counter(), 0
    while time.perf_counter() < end:
        canonical = json.dumps(json.loads(text), sort_keys=True)
        hashlib.sha256(canonical.encode()).hexdigest()
        done += 1
    print((time.perf_counter() - start) / done, flush=True)
