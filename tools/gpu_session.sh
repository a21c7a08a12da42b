#!/usr/bin/env bash
# Work for one hour on a CUDA machine: tests, a longer training of the CelebA student than a CPU allows, and speed tables.
#   LRFACE_DATA=/data tools/gpu_session.sh OUT
# Needs $LRFACE_DATA/celeba_store with the teacher's cache, and facenet_casia.onnx. After a kill, run the same command again.
set -euo pipefail
cd "$(dirname "$0")/.."
out=${1:?where to write}
mkdir -p "$out"
python -m pytest tests/losses tests/train tests/models 2>&1 | tee "$out/tests.log"
for seed in 5 6 7; do
  run="$out/celeba_r18_16px-$seed"
  [ -f "$run/model.safetensors" ] && continue
  resume=(); [ -f "$run/last.ckpt" ] && resume=(--resume)
  lrface train recipes/celeba_r18_16px.yaml --device cuda --out "$run" --set "seed=$seed" --set optim.epochs=60 "${resume[@]}"
done
