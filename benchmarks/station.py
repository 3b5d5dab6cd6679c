"""What one station costs: bytes and time of a decision, start-up and memory.

    python benchmarks/station.py --out benchmarks/results/station/station.json

Each row is a process of its own on one thread, without other load from this script. Weights are
random, because they change none of these numbers. Latency is that of ``Station.step`` with messages
of all neighbours. Start-up is from the start of the process to the first decision, imports
included. Memory is the largest resident set of the process.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

MODELS = {
    "bc": ("bc", {}),
    "ma-iql": ("ma-iql", {}),
    "networld (forecast)": ("networld", {"planner": "forecast"}),
    "networld (plans)": (
        "networld",
        {"planner": "diffusion", "guidance": "none", "deviation": 1.0},
    ),
}
RUNTIMES = ("torch", "onnxruntime")
SLOTS = 4  # neighbours of the station
WARM_UP = 20


def peak_kib() -> int:
    """Largest resident set of this process; that of getrusage starts with the parent's."""
    found = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    assert found
    return int(found[1])


def measure(folder: str, runtime: str, steps: int, began: float) -> dict[str, float]:
    """Time one station; runs in its own process."""
    import numpy as np

    from networld_algos.deploy.wire import Message, encode

    near = list(range(1, SLOTS + 1))
    if runtime == "torch":
        from networld_algos.deploy.station import Station

        station = Station.load(folder, 0, near, message_delay=1)
        import torch

        torch.set_num_threads(1)
    else:
        from networld_algos.deploy.onnx_station import load_onnx_station

        station = load_onnx_station(f"{folder}/onnx", 0, near, message_delay=1)
    about, rng = station.interface, np.random.default_rng(0)
    times, sent, start_up = [], 0, 0.0
    for slot in range(WARM_UP + steps):
        observation = rng.standard_normal(about.obs_dim).astype(np.float32)
        values = rng.standard_normal((SLOTS, about.message_width)).astype(np.float32)
        pairs = zip(near, values, strict=True)
        inbox = [encode(Message(about.model, j, max(slot - 1, 0), row)) for j, row in pairs]
        begin = time.perf_counter()
        _, outbox = station.step(observation, inbox)
        times.append(1e3 * (time.perf_counter() - begin))
        start_up = start_up or time.time() - began
        sent = len(outbox)
    assert station.counts == {"decisions": WARM_UP + steps}, station.last_error
    p50, p99 = np.percentile(times[WARM_UP:], [50, 99])
    return {
        "bytes": sent,
        "p50_ms": round(float(p50), 3),
        "p99_ms": round(float(p99), 3),
        "start_up_s": round(start_up, 2),
        "memory_mib": round(peak_kib() / 1024),
    }


def main() -> None:
    """Measure every model and print and write the rows."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--task", default="rb")
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--one", nargs=3, metavar=("FOLDER", "RUNTIME", "BEGAN"))
    args = parser.parse_args()
    if args.one:
        folder, runtime, began = args.one
        print(json.dumps(measure(folder, runtime, args.steps, float(began))))
        return

    from importlib.metadata import version

    from networld_algos import make, save
    from networld_algos.deploy import export
    from networld_envs import make_vec

    spec = make_vec(args.task).task_spec
    rows = []
    for title, (name, config) in MODELS.items():
        with tempfile.TemporaryDirectory() as folder:
            save(make(name, spec, config), folder)
            export(folder, f"{folder}/onnx", slots=SLOTS)
            for runtime in RUNTIMES:
                command = [sys.executable, __file__, "--steps", str(args.steps)]
                command += ["--one", folder, runtime, str(time.time())]
                out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
                rows.append({"model": title, "runtime": runtime, **json.loads(out)})
                print(rows[-1], flush=True)
    result = {
        "command": f"python benchmarks/station.py --task {args.task} --steps {args.steps}",
        "torch": version("torch"),
        "onnxruntime": version("onnxruntime"),
        "neighbours": SLOTS,
        "rows": rows,
    }
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
