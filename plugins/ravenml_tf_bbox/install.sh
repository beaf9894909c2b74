#!/usr/bin/env bash
# usage: install.sh [-g] [-u] [-r] [-f] [-d] [-h]
# Installs this plugin and its pinned requirements into the active virtual or conda environment.
#   -g  for an NVIDIA GPU; makes sure of its driver first (RAVENML_SKIP_DRIVER_CHECK=1: does not)
#   -u  uninstall the plugin; its dependencies stay
#   -r  compile the requirements anew; without it, only if requirements.in or the constraints have changed
#   -f  go on although no virtual or conda environment is active
#   -d  accepted and ignored
#   -h  this help
# RAVENML_TORCH_INDEX names another index of torch's CPU builds; set and empty, the default index serves alone.
# What is there before the first change is written down in <environment>/share/ravenml/journal.json.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
case " $* " in *" -h "*) sed -n '2,/^set/s/^# \{0,1\}//p' "$here/install.sh" && exit 0 ;; esac

python=$(command -v python || command -v python3 || echo "this machine's Python")
"$python" -P -c 'import ravenml.plugin' 2>/dev/null || {
    echo "Error: ravenML itself is not installed for $python; activate an environment that has it, or" \
        "run 'pip install -e .' in ravenML's checkout first." >&2
    exit 1
}
exec "$python" -P -m ravenml.plugin.install "$here" "$@"
