#!/usr/bin/env bash
# From faces to the models that lrface carries: teachers, stores, training, thresholds, int8, checksums.
#   LRFACE_DATA=/data tools/train_shipped.sh RUNS [DEVICE]
# Needs $LRFACE_DATA/celeba with landmarks.csv, and $LRFACE_DATA/lfw with images and View 1 (pairsDevTrain.txt, pairsDevTest.txt), which
# decides whether int8 is true enough. Killed, the same command goes on. DEVICE is auto, cpu, cuda, ...
set -euo pipefail
runs=$(realpath -m "${1:?where to write the runs}")
device=${2:-auto}
cd "$(dirname "$0")/.."
: "${LRFACE_DATA:?the folder of the data sets}"
data=$LRFACE_DATA

[ -f "$data/facenet_casia.onnx" ] || python tools/convert_facenet.py --out "$data/facenet_casia.onnx"
[ -f "$data/dlib_resnet.onnx" ] || python tools/convert_dlib.py --out "$data/dlib_resnet.onnx"
lrface prepare "$data/celeba" --landmarks "$data/celeba/landmarks.csv" --out "$data/celeba_store"
lrface prepare "$data/lfw/images" --detector mtcnn --eyes 103,112,146,111 --out "$data/lfw_mtcnn"

# The last epoch is shipped: at the end of a cosine schedule the epochs differ by less than the validation can tell.
for pair in r18:lrface-r18-16px small:lrface-small-16px; do
  recipe=shipped_${pair%%:*}_16px name=${pair#*:}
  run=$runs/$recipe
  resume=(); [ -f "$run/last.ckpt" ] && resume=(--resume)
  [ -f "$run/model.safetensors" ] || lrface train "recipes/$recipe.yaml" --out "$run" --device "$device" "${resume[@]}"
  view1=(--images "$data/lfw_mtcnn" --pairs "$data/lfw/pairsDevTrain.txt" --pairs "$data/lfw/pairsDevTest.txt")
  python tools/calibrate.py "$run/last.safetensors" --store "$data/celeba_store" "${view1[@]}"
  python tools/ship.py "$run/last.safetensors" "$name" --facts "lrface/weights/$name.yaml" --calibration "$data/celeba_store" "${view1[@]}"
done
