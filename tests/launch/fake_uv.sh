#!/bin/bash
# `uv` that installs nothing: a virtual environment's Python is $HOST_PYTHON.
for word in "$@"; do
    [[ $word != --output-file=* ]] || echo "jax==1" > "${word#*=}"
done
if [ "$1" == venv ]; then
    mkdir -p .venv/bin
    printf '#!/bin/bash\nexec %s "$@"\n' "$HOST_PYTHON" > .venv/bin/python
    chmod +x .venv/bin/python
fi
