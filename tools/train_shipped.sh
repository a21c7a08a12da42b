#!/usr/bin/env bash
# From faces to the models that lrface carries: teachers, stores, training, thresholds, int8, checksums.
#   LRFACE_DATA=/data tools/train_shipped.sh RUNS [DEVICE]
# Needs $LRFACE_DATA/celeba with landmarks.csv, $LRFACE_DATA/faces with index.csv (sharp crops), and $LRFACE_DATA/lfw with images and View 1 (pairsDevTrain.txt, pairsDevTest.txt), which
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
python tools/join_faces.py --blurred "$data/celeba_store" --sharp "$data/faces" --out "$data/joined"
lrface prepare "$data/joined" --detector none --out "$data/joined_store"
lrface prepare "$data/lfw/images" --detector mtcnn --eyes 103,112,146,111 --out "$data/lfw_mtcnn"

# The last epoch is shipped: at the end of a cosine schedule the epochs differ by less than the validation can tell.
view1=(--images "$data/lfw_mtcnn" --pairs "$data/lfw/pairsDevTrain.txt" --pairs "$data/lfw/pairsDevTest.txt")
teachers=(--teacher "$data/facenet_casia.onnx" --teacher "$data/dlib_resnet.onnx")

make_model() {  # RECIPE NAME STORE [OPTIONS of ship.py]: train, calibrate, ship
  local recipe=$1 name=$2 store=$3 run=$runs/$1 resume=()
  [ -f "$run/last.ckpt" ] && resume=(--resume)
  [ -f "$run/model.safetensors" ] || lrface train "recipes/$recipe.yaml" --out "$run" --device "$device" "${resume[@]}"
  python tools/calibrate.py "$run/last.safetensors" --store "$data/$store" "${view1[@]}"
  python tools/ship.py "$run/last.safetensors" "$name" --facts "lrface/weights/$name.yaml" --calibration "$data/$store" "${view1[@]}" "${@:4}"
}

make_model shipped_r18_16px lrface-r18-16px celeba_store
make_model shipped_small_16px lrface-small-16px celeba_store

# The family: a map from the teachers into the space of lrface-r18-16px teaches the student for larger faces.
[ -f "$data/family_map.safetensors" ] || python tools/fit_family.py lrface-r18-16px --store "$data/joined_store" "${teachers[@]}" --out "$data/family_map.safetensors"
make_model family_r18_32px lrface-r18-32px joined_store --int8-only
