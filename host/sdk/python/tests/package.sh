#!/usr/bin/env bash
# Builds wheel and sdist, and tests each in an empty environment, outside of the source tree.
#
#     tests/package.sh [PYTHON]
set -euo pipefail
python=${1:-python3}
here=$(cd "$(dirname "$0")/.." && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

"$python" -m venv "$scratch/build"
"$scratch/build/bin/pip" install -q build==1.6.1
"$scratch/build/bin/python" -m build -q --outdir "$scratch/dist" "$here"

cat > "$scratch/use.py" <<'END'
import pathlib
import sys

import signoff

assert pathlib.Path(signoff.__file__).is_relative_to(sys.prefix), signoff.__file__
assert signoff.__version__ == "0.1.0"
assert pathlib.Path(signoff.__file__).with_name("py.typed").exists()
signoff.Client("http://127.0.0.1:9")
if sys.argv[1] == "verifier":
    digest = signoff.Verifier().digest({"b": 1, "a": 2})
    assert digest == "21501dbaf73f5223934d22283f01caff4132bc1de4a9550c1ed0dffeb397a323", digest
else:
    try:
        signoff.Verifier()
    except signoff.VerifierMissing as missing:
        assert "signoff[verifier]" in str(missing)
    else:
        raise SystemExit("the verifier works without the extra")
END

export XDG_CACHE_HOME=$scratch/cache
cd "$scratch"
for package in dist/signoff-0.1.0-py3-none-any.whl dist/signoff-0.1.0.tar.gz; do
  for extra in none verifier; do
    "$python" -m venv --clear env
    if [ "$extra" = none ]; then env/bin/pip install -q "$package"; else env/bin/pip install -q "$package[verifier]"; fi
    env/bin/python -W error use.py "$extra"
    echo "$package with the extra $extra: works"
  done
done
