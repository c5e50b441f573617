# Functions that the scripts share. Sourced, not run.
# shellcheck shell=bash
# shellcheck disable=SC2154 # parse_options sets the variables of the options

# End with one line of error, as glide_jax itself does.
die() {
    printf 'error: %s\n' "$*" >&2
    exit 2
}

# Print a command; run it too, unless --dry-run.
run() {
    printf '+'
    printf ' %q' "$@"
    printf '\n'
    if [ -z "${dry_run:-}" ]; then
        "$@"
    fi
}

# Set a variable for each option: --node-pool sets node_pool.
# Usage: parse_options "project zone …" "spot …" "$@"; what follows -- is in `rest`.
parse_options() {
    local _valued=" $1 " _flags=" $2 dry-run " _word _name
    shift 2
    rest=()
    while [ $# -gt 0 ]; do
        _word=$1
        shift
        case $_word in
            --) rest+=("$@"); return ;;
            --config.*) rest+=("$_word"); continue ;;
            --*=*) _name=${_word#--}; _name=${_name%%=*}; set -- "${_word#*=}" "$@" ;;
            --*) _name=${_word#--} ;;
            *) die "unexpected word '$_word'; see --help" ;;
        esac
        if [[ $_flags == *" $_name "* ]]; then
            [[ $_word != *=* ]] || die "--$_name takes no value"
            printf -v "${_name//-/_}" yes
        elif [[ $_valued == *" $_name "* ]]; then
            if [ $# -eq 0 ] || [[ $1 == --* ]]; then
                die "--$_name needs a value"
            fi
            printf -v "${_name//-/_}" '%s' "$1"
            shift
        else
            die "unknown option --$_name; see --help"
        fi
    done
}

# require project zone …: each must have been given.
require() {
    local _name _variable
    for _name in "$@"; do
        _variable=${_name//-/_}
        [ -n "${!_variable:-}" ] || die "give --$_name; see --help"
    done
}

# require_number nodes …: each must be an integer from 1.
require_number() {
    local _name _variable
    for _name in "$@"; do
        _variable=${_name//-/_}
        [[ ${!_variable} =~ ^[1-9][0-9]*$ ]] || die "--$_name=${!_variable} must be an integer from 1"
    done
}

# The config must be in this checkout, by path or by name: the run has a copy of the checkout.
require_config() {
    require config
    [ -f "$config" ] || [ -f "configs/$config.py" ] || die "no config $config"
}

# The comment at the top of a script is its help.
help_of() {
    sed -n '2,/^$/s/^# \{0,1\}//p' "$1"
}

# A workdir in a bucket, which every host reaches without a mount.
in_bucket() {
    [[ $1 == gs://?* || $1 == s3://?* ]]
}

# The extras of setup.py: the platform's, those that were asked for, what a bucket needs.
# Usage: extras_of tpu "$extras" "$workdir"
extras_of() {
    local _all=$1 _given=${2//,/ } _name
    if in_bucket "${3:-}"; then
        _given+=" remote"
    fi
    for _name in $_given; do
        grep -q "^    \"$_name\": " setup.py || die "--extras: setup.py has no extra '$_name'"
        [[ ",$_all," == *",$_name,"* ]] || _all+=,$_name
    done
    printf %s "$_all"
}

# The names of variables that go along, and must be set here: --env WANDB_API_KEY,HF_TOKEN.
names_of() {
    local _name
    for _name in ${1//,/ }; do
        [[ $_name =~ ^[A-Za-z_][A-Za-z0-9_]*$ ]] || die "--env=$_name must be the name of a variable"
        [ -n "${!_name+x}" ] || die "--env=$_name: there is no such variable here; export it first"
        printf '%s\n' "$_name"
    done
}

readonly LOCK=requirements.lock

# Write the versions of everything that gets installed, so that all hosts, and those of the next
# slice, have the same. Kept until it is deleted, or other extras are asked for.
lock_for() { # tpu,glide
    local _extras=$1 _arguments=() _name
    if [ -f "$LOCK" ] && [ "$(head -n 1 "$LOCK")" == "# extras: $_extras" ]; then
        return
    fi
    for _name in ${_extras//,/ }; do
        _arguments+=(--extra "$_name")
    done
    if [ -z "${dry_run:-}" ] && ! command -v uv > /dev/null; then
        die "uv writes $LOCK, and is not here: pip install uv"
    fi
    # libtpu has wheels for glibc 2.31 and later alone.
    run uv pip compile --quiet --no-header --python-version=3.12 \
        --python-platform=x86_64-manylinux_2_31 "${_arguments[@]}" --output-file="$LOCK.part" setup.py
    if [ -z "${dry_run:-}" ]; then
        { echo "# extras: $_extras" && cat "$LOCK.part"; } > "$LOCK"
        rm "$LOCK.part"
    fi
}
