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
