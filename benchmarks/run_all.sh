#!/usr/bin/env bash
# Every protocol on every model, one report: `lrface benchmark` with the published tables of this folder.
#   LRFACE_DATA=/data benchmarks/run_all.sh --models student=runs/mine/model.safetensors teacher=teacher.onnx --out results/mine
# Run the same line again after a kill, or with one model more: finished rows are kept. `lrface benchmark --help` has the options.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
exec lrface benchmark --published "$here/published" "$@"
