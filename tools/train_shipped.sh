#!/usr/bin/env bash
# All steps from faces to the shipped models: teachers, stores, training, thresholds, int8, checksums.
#   LRFACE_DATA=/data tools/train_shipped.sh RUNS [DEVICE]
# Needs $LRFACE_DATA/celeba with landmarks.csv, $LRFACE_DATA/faces with index.csv (sharp crops, some of nobody in particular),
# $LRFACE_DATA/mobilefacenet.param and .bin (insightface's MobileFaceNet, ArcFace on MS1M: see tools/convert_mobilefacenet.py), and
# $LRFACE_DATA/lfw with images and View 1 (pairsDevTrain.txt, pairsDevTest.txt), on which int8 is checked. After a kill, run the
# same command again. DEVICE is auto, cpu, cuda, ...
set -euo pipefail
runs=$(realpath -m "${1:?where to write the runs}")
device=${2:-auto}
cd "$(dirname "$0")/.."
: "${LRFACE_DATA:?the folder of the data sets}"
data=$LRFACE_DATA

[ -f "$data/dlib_resnet.onnx" ] || python tools/convert_dlib.py --out "$data/dlib_resnet.onnx"
[ -f "$data/mobilefacenet.onnx" ] || python tools/convert_mobilefacenet.py "$data/mobilefacenet.param" --out "$data/mobilefacenet.onnx"
lrface prepare "$data/celeba" --landmarks "$data/celeba/landmarks.csv" --out "$data/celeba_store"
python tools/join_faces.py --blurred "$data/celeba_store" --sharp "$data/faces" --out "$data/joined"
lrface prepare "$data/joined" --detector none --out "$data/joined_store"
python tools/join_faces.py --blurred "$data/celeba_store" --sharp "$data/faces" --unknown --out "$data/joined_unknown"
lrface prepare "$data/joined_unknown" --detector none --out "$data/faces_store"
lrface prepare "$data/lfw/images" --detector mtcnn --eyes 103,112,146,111 --out "$data/lfw_mtcnn"

# The last epoch is shipped: at the end of a cosine schedule, the epochs differ by less than the validation can measure.
view1=(--images "$data/lfw_mtcnn" --pairs "$data/lfw/pairsDevTrain.txt" --pairs "$data/lfw/pairsDevTest.txt")

make_model() {  # RECIPE NAME: train, bring the metric towards MobileFaceNet's, calibrate, ship
  local name=$2 run=$runs/$1 resume=()
  [ -f "$run/last.ckpt" ] && resume=(--resume)
  [ -f "$run/model.safetensors" ] || lrface train "recipes/$1.yaml" --out "$run" --device "$device" "${resume[@]}"
  local model=$run/shipped.safetensors making=$run/refitted.safetensors
  if [ ! -f "$model" ]; then
    python tools/refit_metric.py "$run/last.safetensors" --store "$data/faces_store" --sharp "$data/faces" --teacher "$data/mobilefacenet.onnx" --out "$making"
    python tools/calibrate.py "$making" --store "$data/faces_store" "${view1[@]}"
    mv "$making" "$model"
  fi
  python tools/ship.py "$model" "$name" --facts "lrface/weights/$name.yaml" --calibration "$data/faces_store" "${view1[@]}"
}

make_model shipped_r18_16px lrface-r18-16px
make_model shipped_small_16px lrface-small-16px

# The family's top members need maps between the teachers and the space of lrface-small-16px. Ridge, power and weights of each were
# chosen together: see benchmarks/results/trials.md.
fit_map() {  # NAME TEACHER [OPTIONS of fit_family.py]
  local map=$data/$1.map.safetensors
  [ -f "$map" ] || python tools/fit_family.py lrface-small-16px --ridge 0.3 --power 0.1 --teacher "$2" --out "$map" "${@:3}"
}
fit_map dlib "$data/dlib_resnet.onnx" --store "$data/joined_store"
fit_map mobilefacenet "$data/mobilefacenet.onnx" --store "$data/faces_store" --back 0.1 --sharp "$data/faces" --weights 0.5 0.7
python tools/ship_family.py lrface --member lrface-small-16px:0 --store "$data/joined_store" "${view1[@]}" --faces 6000 \
  --top "$data/dlib.map.safetensors" 18 "$data/dlib_resnet.onnx" \
  --top "$data/mobilefacenet.map.safetensors" 21 "$data/mobilefacenet.onnx"
for side in 12 16 24; do
  PYTHONPATH=tools${PYTHONPATH:+:$PYTHONPATH} python benchmarks/watch_film.py "$runs/film-$side" --lfw "$data/lfw/images" --pairs "$data/lfw/pairsDevTrain.txt" --side "$side"
done
python tools/calibrate_looks.py lrface --films "$runs/film-12" --films "$runs/film-16" --films "$runs/film-24" \
  --images "$data/lfw_mtcnn" --pairs "$data/lfw/pairsDevTrain.txt"
