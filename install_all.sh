#!/usr/bin/env bash
# usage: install_all.sh [-u] [-g] [-c] [-n] [-f] [-h] [NAME...]
# Installs all plugins in plugins/, or those named, into the active environment, each with its install.sh.
#   -u  uninstall the plugins and everything installed for them only; restore versions that they changed
#   -g  install for an NVIDIA GPU
#   -c  afterwards, restore packages that environment.yml requires and that are missing or out of range:
#       with 'conda env update' if conda manages the environment, else with pip
#   -n  dry run: print what would happen
#   -f  continue even if no virtual or conda environment is active
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
