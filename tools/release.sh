#!/usr/bin/env bash
# Build a release into dist/ and check it: metadata, the wheel in a bare environment, the pretrained
# models, `make demo` from the unpacked sdist, and the documentation. Nothing is uploaded.
#
#     make release [SKIP="demo docs"]
#
# The Python that runs it has the extra "release" (build and twine).
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD python=$(realpath -s "${PYTHON:-$(command -v python3)}") dist=${DIST:-$PWD/dist} skip=" ${SKIP:-} "
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
say() { printf '\n== %s (%ds)\n' "$*" "$SECONDS"; }
wanted() { [[ "$skip" != *" $1 "* ]] || { echo "skipped: $1"; return 1; }; }

say "wheel and sdist"
mkdir -p "$dist"
rm -f "$dist"/networld-*
"$python" -m build --outdir "$dist" . >"$work/build.log" 2>&1 || { cat "$work/build.log"; exit 1; }
"$python" -m twine check --strict "$dist"/networld-*
wheel=$(echo "$dist"/networld-*.whl)
sdist=$(echo "$dist"/networld-*.tar.gz)

say "the wheel in a bare environment"
"$python" -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --constraint constraints.txt "$wheel"
(
  cd "$work"
  venv/bin/networld --help >/dev/null
  venv/bin/networld evaluate pretrained:ns --episodes 20
)

say "make demo, from the sdist"
tar -xzf "$sdist" -C "$work"
if wanted demo; then
  make -C "$work"/networld-*/ VENV="$work/demo-venv" demo
fi

say "documentation, from the sdist"
if wanted docs; then
  make -C "$work"/networld-*/ VENV="$work/demo-venv" docs
fi

say "done"
ls -l "$dist"
echo
echo "With the extra hub and a token, this pushes the datasets and the pretrained models:"
echo
echo "    make publish HUB=hf://ACCOUNT"
