# shellcheck shell=bash
# What the app's scripts use of bashio, for a bash that is told to read this first (BASH_ENV). What is said to the
# Supervisor lands in $SAID.
set -o errexit -o errtrace -o nounset -o pipefail

bashio::log.info() { echo "INFO: $*" >&2; }
bashio::log.error() { echo "ERROR: $*" >&2; }
bashio::var.json() { jq --null-input --compact-output --arg name "$1" --arg value "$2" '{($name): $value}'; }
bashio::discovery() {
    [[ -z "${REFUSED:-}" ]] || return 1
    echo "$1 $2" >> "${SAID}"
    echo "0123456789abcdef"
}
