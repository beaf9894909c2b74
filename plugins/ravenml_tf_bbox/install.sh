#!/usr/bin/env bash
# usage: install.sh [-g] [-u] [-r] [-f] [-d] [-h]
# Installs this plugin and its pinned requirements into the active virtual or conda environment.
#   -g  install for an NVIDIA GPU; checks its driver first (RAVENML_SKIP_DRIVER_CHECK=1 skips the check)
#   -u  uninstall the plugin, but not its dependencies
#   -r  recompile the requirements, even if requirements.in and the constraints have not changed
#   -f  install even if no virtual or conda environment is active
#   -d  accepted and ignored
#   -h  this help
# RAVENML_TORCH_INDEX sets another index for PyTorch's CPU builds; empty: only the default index is used.
# The packages before the first change are recorded in <environment>/share/ravenml/journal.json.
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
