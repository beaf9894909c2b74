#!/usr/bin/env bash
# usage: install_all.sh [-u] [-g] [-c] [-n] [-f] [-h] [NAME...]
# Installs every plugin of plugins/, or those that are named, by its install.sh into the active environment.
#   -u  uninstall them instead, and all that came only with them; versions that they changed come back
#   -g  for an NVIDIA GPU
#   -c  afterwards, put back what environment.yml asks for and is missing or out of range: with
#       'conda env update' where conda manages the environment, else with pip
#   -n  only say what would happen
#   -f  go on although no virtual or conda environment is active
#   -h  this help
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
case " $* " in *" -h "*) sed -n '2,/^set/s/^# \{0,1\}//p' "$root/install_all.sh" && exit 0 ;; esac

python=$(command -v python || command -v python3 || echo "this machine's Python")
"$python" -P -c 'import ravenml.plugin' 2>/dev/null || {
    echo "Error: ravenML itself is not installed for $python; activate an environment that has it, or" \
        "run 'pip install -e $root' first." >&2
    exit 1
}
exec "$python" -P -m ravenml.plugin.install_all "$root" "$@"
