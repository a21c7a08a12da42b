#!/usr/bin/env bash
# Use a CUDA machine for a limited time: train the recipes three times longer than they say, with three seeds, with CRRCD and
# without; then measure speed.
#   tools/gpu_session.sh PACKS OUT [MINUTES]
# PACKS holds one pack for each recipe, made at home:
#   for r in shipped_r18_16px shipped_small_16px; do
#     python tools/pack_training.py recipes/$r.yaml --out PACKS/$r --targets int8
#   done
# The machine needs a checkout, Python, torch, numpy, Pillow and safetensors. The other packages can be carried as wheels in
# PACKS/wheels (pydantic-core and pyyaml for that machine's Python and platform), and are then installed into OUT/site:
#   python -m pip wheel --no-deps --wheel-dir PACKS/wheels click tqdm pyyaml omegaconf antlr4-python3-runtime==4.9.3 pydantic \
#     pydantic-core annotated-types typing-inspection typing-extensions lightning-fabric lightning-utilities packaging fsspec
# It ends after MINUTES (50). If it was killed or is not finished, run the same command again. Carry home OUT/results.tar.part-*:
# tables, logs, recipes, and for each recipe and variant the model of the seed with the best validation, as float16.
# Environment: DEVICE (cuda), SEEDS (5 6 7), LONGER (3), WAYS of compiling to try (false true graphs), SPEED_SECONDS (240) that are
# kept free for the speed tables, their BATCHES (96 512) and STEPS (30), RESULT_BYTES (15M) of the largest result file.
set -euo pipefail
packs=$(realpath "${1:?the folder of packs}")
mkdir -p "${2:?where to write}"
out=$(realpath "$2")
end=$(($(date +%s) + 60 * ${3:-50}))
for_speed=${SPEED_SECONDS:-240} # kept free for the speed tables and the results
seeds=${SEEDS:-5 6 7}
device=${DEVICE:-cuda}
longer=${LONGER:-3}
ways=()
batches=()
for batch in ${BATCHES:-96 512}; do batches+=(--batch "$batch"); done
for way in ${WAYS:-false true graphs}; do ways+=(--way "$way"); done
cd "$(dirname "$0")/.."
if [ -d "$packs/wheels" ] && [ ! -f "$out/site/installed" ]; then
  python3 -m pip install --quiet --no-index --no-deps --upgrade --target "$out/site" "$packs"/wheels/*.whl
  touch "$out/site/installed"
fi
export PYTHONPATH=$PWD:$out/site${PYTHONPATH:+:$PYTHONPATH}
export TORCHINDUCTOR_CACHE_DIR=$out/compiled # a restarted run need not compile again
left() { echo $((end - $(date +%s) - $1)); }

recipes=()
for pack in "$packs"/*/pack.json; do recipes+=("$(basename "$(dirname "$pack")")"); done

# Which way of compiling trains fastest here. Compiling takes a minute or so for each way: for a short time, try fewer.
for recipe in "${recipes[@]}"; do
  [ -s "$out/$recipe.choice" ] && continue
  timeout "$(left 0)" python3 benchmarks/gpu_speed.py "$packs/$recipe" --device "$device" --steps "${STEPS:-30}" --turns 2 \
    "${ways[@]}" --choose --out "$out/$recipe.choice.json" | tee "$out/$recipe.choice.log"
  sed -n 's/^fastest: //p' "$out/$recipe.choice.log" >"$out/$recipe.choice"
  [ -s "$out/$recipe.choice" ] || { echo "error: nothing could be trained here; see $out/$recipe.choice.log" >&2; exit 2; }
done

train() { # RECIPE SEED VARIANT [--set ...]
  local pack=$packs/$1 run=$out/runs/$1-$3-$2 resume=() epochs
  [ -f "$run/model.safetensors" ] && return
  [ "$(left "$for_speed")" -gt 20 ] || return 0
  [ -f "$run/last.ckpt" ] && resume=(--resume)
  epochs=$((longer * $(python3 -c "import json, sys; print(json.load(open(sys.argv[1]))['recipe']['optim']['epochs'])" "$pack/pack.json")))
  timeout --signal TERM --kill-after 60 "$(left "$for_speed")" python3 -m lrface train "$pack/recipe.yaml" --data "$pack" --out "$run" \
    --device "$device" --set "seed=$2" --set "optim.epochs=$epochs" --set "$(cat "$out/$1.choice")" "${@:4}" "${resume[@]}" \
    || echo "$1 $3 seed $2 is not finished: the same command goes on"
}
for seed in $seeds; do
  for recipe in "${recipes[@]}"; do
    train "$recipe" "$seed" crrcd --set loss.crrcd.weight=2.0
    train "$recipe" "$seed" plain --set loss.crrcd=null
  done
done

for recipe in "${recipes[@]}"; do
  [ -f "$out/$recipe.speed.json" ] || [ "$(left 30)" -lt 20 ] || timeout "$(left 30)" python3 benchmarks/gpu_speed.py "$packs/$recipe" \
    --device "$device" --steps "${STEPS:-30}" --turns 3 "${ways[@]}" "${batches[@]}" --out "$out/$recipe.speed.json" | tee "$out/$recipe.speed.log" || true
done
python3 tools/gather_runs.py "$out/runs" --out "$out/results"
cp "$out"/*.json "$out"/*.log "$out/results/" 2>/dev/null || true
rm -f "$out"/results.tar.part-*
tar -C "$out" -c results | split --bytes "${RESULT_BYTES:-15M}" - "$out/results.tar.part-"
