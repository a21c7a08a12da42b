#!/usr/bin/env bash
# Every protocol on every model, one report: `lrface benchmark` with the published tables of this folder.
#   benchmarks/run_all.sh --data /data --models student=runs/mine/model.safetensors teacher=teacher.onnx --out results/mine
# Run the same command again after a kill, or with one more model: finished rows are kept. `--help` lists the options.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
lrface=$here/../.venv/bin/lrface # the environment of `make`, if there is one; it need not be activated
[ -x "$lrface" ] || lrface=lrface
exec "$lrface" benchmark --published "$here/published" --native 8,10,12,16,20,24,32 "$@"
