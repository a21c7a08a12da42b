#!/usr/bin/env bash
# What to do with a CUDA machine for a limited time: the shipped recipes three times longer, three seeds, with CRRCD and without; then speed.
#   tools/gpu_session.sh PACKS OUT [MINUTES]
# PACKS holds one pack a recipe, made elsewhere by
#   for r in shipped_r18_16px shipped_small_16px; do python tools/pack_training.py recipes/$r.yaml --out PACKS/$r --targets int8; done
# The machine needs a checkout, Python, torch, numpy, Pillow and safetensors. What else is needed can be carried: a folder `wheels` in PACKS, of
#   python -m pip wheel --no-deps --wheel-dir PACKS/wheels click tqdm pyyaml omegaconf antlr4-python3-runtime==4.9.3 \
#     pydantic pydantic-core annotated-types typing-inspection typing-extensions lightning-fabric lightning-utilities packaging fsspec
# (pydantic-core and pyyaml for that machine's Python and platform) is installed beside OUT first.
# Ends after MINUTES (50), whatever is done; the same command goes on where it was. OUT/results.tar.part-* are what to carry home: tables, logs, the
# recipes, and of each recipe and variant the model of the seed that validates best, as float16. RESULT_BYTES (15M) is the largest of them.
set -euo pipefail
packs=$(realpath "${1:?the folder of packs}")
mkdir -p "${2:?where to write}"
out=$(realpath "$2")
end=$(($(date +%s) + 60 * ${3:-50}))
for_speed=${SPEED_SECONDS:-240} # kept free for the speed tables and the results
seeds=${SEEDS:-5 6 7}
device=${DEVICE:-cuda}
longer=${LONGER:-3}
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

# Which way of compiling trains fastest here, in a minute or two.
for recipe in "${recipes[@]}"; do
  [ -s "$out/$recipe.choice" ] && continue
  timeout "$(left 0)" python3 benchmarks/gpu_speed.py "$packs/$recipe" --device "$device" --steps 30 --turns 2 --choose \
    --out "$out/$recipe.choice.json" | tee "$out/$recipe.choice.log"
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
    train "$recipe" "$seed" crrcd
    train "$recipe" "$seed" plain --set loss.crrcd=null
  done
done

for recipe in "${recipes[@]}"; do
  [ -f "$out/$recipe.speed.json" ] || [ "$(left 30)" -lt 20 ] || timeout "$(left 30)" python3 benchmarks/gpu_speed.py "$packs/$recipe" \
    --device "$device" --steps 30 --turns 3 --batch 96 --batch 512 --out "$out/$recipe.speed.json" | tee "$out/$recipe.speed.log" || true
done
python3 tools/gather_runs.py "$out/runs" --out "$out/results"
cp "$out"/*.json "$out"/*.log "$out/results/" 2>/dev/null || true
rm -f "$out"/results.tar.part-*
tar -C "$out" -c results | split --bytes "${RESULT_BYTES:-15M}" - "$out/results.tar.part-"
