#!/usr/bin/env bash
# Write requirements.lock: the versions that an image, a slice or a SkyPilot job installs.
#
#     launch/lock.sh --extras tpu,glide,remote
#
#   --extras A,B   of setup.py, the platform's among them: tpu or cuda12
#   --dry-run      print the command without running it
#
# The file is kept: delete it to have the newest versions that setup.py allows.

# shellcheck disable=SC2154 # parse_options sets the variables of the options
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=launch/lib.sh
source launch/lib.sh

case ${1:-} in --help | -h) help_of "$0"; exit ;; esac
parse_options "extras" "" "$@"
require extras
all=$(extras_of "${extras%%,*}" "$extras")
lock_for "$all"
