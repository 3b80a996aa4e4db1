#!/bin/sh
# Make an environment below .venv: .ci/environment.sh uv|run|dev|bulk "EDITABLE PACKAGES" LOCK...
#
# Its interpreter is $PYTHON or, without it, the newest on PATH for which all packages have wheels,
# or one that uv finds or downloads, where uv is on PATH.
set -eu

name=$1 editable=$2
shift 2
newest=14 size="115 MB to download, 360 MB on disk" versions="Python 3.11, 3.12, 3.13 or 3.14"
if [ "$name" = bulk ]; then
    size="1.0 GB on disk"
elif [ "$name" = dev ]; then
    newest=13 size="3.2 GB on disk"
    versions="Python 3.11, 3.12 or 3.13, because TensorFlow has no packages for others"
fi

fail() {
    echo "$*" >&2
    exit 1
}

# A program can be on PATH and not work, such as pyenv's for a version that is not selected.
fits() {
    "$1" -c "import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, $newest))" \
        >/dev/null 2>&1
}

find_python() {
    if [ -n "${PYTHON:-}" ]; then
        fits "$PYTHON" || fail "PYTHON=$PYTHON does not fit: .venv/$name needs $versions."
        echo "$PYTHON"
        return
    fi
    minor=$newest
    candidates=
    while [ $minor -ge 11 ]; do
        candidates="$candidates python3.$minor"
        minor=$((minor - 1))
    done
    for candidate in $candidates python3 python; do
        if fits "$candidate"; then
            echo "$candidate"
            return
        fi
    done
    command -v uv >/dev/null || fail ".venv/$name needs $versions, and PATH has none of them:" \
        "install one, or install uv, or set PYTHON=/path/to/python3.13."
    echo ">=3.11,<3.$((newest + 1))"
}

# uv of the version in the lock, as .venv/uv/bin/uv.
install_uv() {
    rm -rf .venv/uv
    set -- --quiet --target .venv/uv --only-binary :all: --require-hashes --requirement "$1"
    if command -v uv >/dev/null; then
        uv pip install --python "$python" "$@"
    elif "$python" -m pip --version >/dev/null 2>&1; then
        "$python" -m pip install --disable-pip-version-check --root-user-action ignore "$@"
    elif "$python" -c "import ensurepip" 2>/dev/null; then
        "$python" -m venv .venv/pip
        .venv/pip/bin/python -m pip install --disable-pip-version-check "$@"
        rm -rf .venv/pip
    else
        fail "$python has neither pip nor venv: install one of them" \
            "(on Debian and Ubuntu: apt install python3-venv), or install uv."
    fi
}

install_packages() {
    uv=.venv/uv/bin/uv
    rm -f ".venv/$name/ready"
    $uv venv --quiet --clear --python "$python" ".venv/$name"
    echo "Setting up .venv/$name for $(".venv/$name/bin/python" --version), once: $size"
    $uv pip sync --python ".venv/$name" --only-binary :all: --require-hashes "$@"
    if [ "$name" = run ]; then # as an editable installation does, without its build
        for packages in .venv/run/lib/python3*/site-packages; do
            printf '%s\n' "$PWD/gateway" "$PWD/client" >"$packages/sports.pth"
        done
        printf '#!/bin/sh\nexec "%s" -m sports "$@"\n' "$PWD/.venv/run/bin/python" >.venv/run/bin/sports
        chmod +x .venv/run/bin/sports
        return
    fi
    set -- --quiet --python ".venv/$name" --no-deps --build-constraints .ci/requirements.lock
    for package in $editable; do
        set -- "$@" --editable "$package"
    done
    $uv pip install "$@"
}

python=$(find_python)
case $name in
    uv) install_uv "$@" ;;
    *) install_packages "$@" ;;
esac
touch ".venv/$name/ready"
