#!/usr/bin/env bash
# Measures models on every protocol that this version has, and writes results tables.
#   LRFACE_DATA=/data benchmarks/run_all.sh 'student=runs/mine/model.safetensors' 'teacher=teacher.onnx@hr'
# LABEL=MODEL is measured at 16 px, LABEL=MODEL@hr at full resolution. Looks for LFW as `lrface data where lfw` tells, and
# prepares it once with the detector of $DETECTOR (default mtcnn; fixed eyes where it finds no face in the deep-funneled frame).
set -euo pipefail
cd "$(dirname "$0")/.."
data=${LRFACE_DATA:-.}
out=${OUT:-benchmarks/results}
detector=${DETECTOR:-mtcnn}
[ $# -gt 0 ] || { echo "error: name at least one model as LABEL=FILE" >&2; exit 2; }

if [ -d "$data/lfw/images" ]; then
  lrface prepare "$data/lfw/images" --out "$data/lfw_$detector" --detector "$detector" --eyes 103,112,146,111
  python benchmarks/lfw_16px.py "$@" --store "$data/lfw_$detector" --pairs "$data/lfw/pairs.txt" --out "$out/lfw_16px"
else
  echo "LFW: not run; looked for $data/lfw/images (lrface data get lfw)"
fi
python benchmarks/train_speed.py --out "$out/train_speed.json"
python benchmarks/prepare_speed.py --out "$out/prepare_speed.json"
