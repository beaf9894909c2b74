#!/usr/bin/env bash
# Installs the U-Net plugin into the active environment, or removes it; install.sh -h explains.
set -euo pipefail

plugin=ravenml_unet
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

usage() {
    cat <<END
usage: install.sh [-g] [-u] [-f] [-d] [-h]
Installs $plugin and its pinned requirements into the active virtual or conda environment.
  -g  for an NVIDIA GPU (RAVENML_SKIP_DRIVER_CHECK=1: do not look for its driver)
  -u  uninstall the plugin; its dependencies stay
  -f  go on although no virtual or conda environment is active
  -d  accepted and ignored
  -h  this help
RAVENML_TORCH_INDEX names another index of torch's CPU builds; set and empty, the default index serves alone.
END
}

refuse() {
    echo "Error: $1" >&2
    exit 1
}

requirements=requirements.txt uninstall=no anywhere=no
while getopts gufdh option; do
    case $option in
        g) requirements="requirements-gpu.txt" ;;
        u) uninstall=yes ;;
        f) anywhere=yes ;;
        d) ;;
        h) usage && exit 0 ;;
        *) usage >&2 && exit 2 ;;
    esac
done
shift $((OPTIND - 1))
[ $# -eq 0 ] || refuse "install.sh takes no argument '$1'; see install.sh -h."

python=$(command -v python || command -v python3) || refuse "there is no python; activate an environment first."
python() { PYTHONSAFEPATH=1 "$python" "$@"; } # nothing that lies in the working folder is imported
in_environment='import os, sys; sys.exit(sys.prefix == sys.base_prefix and not os.path.isdir(sys.prefix + "/conda-meta"))'
python -c "$in_environment" || [ $anywhere = yes ] ||
    refuse "no virtual or conda environment is active; activate one (or -f: install here all the same)."

if [ $uninstall = yes ]; then
    python -m pip uninstall -qq -y $plugin
    echo "$plugin is uninstalled; its dependencies stay."
    exit 0
fi

if [ $requirements = requirements-gpu.txt ] && [ "${RAVENML_SKIP_DRIVER_CHECK:-}" != 1 ]; then
    nvidia-smi >/dev/null 2>&1 ||
        refuse "nvidia-smi finds no NVIDIA driver; install one, or leave out -g (RAVENML_SKIP_DRIVER_CHECK=1 overrides)."
fi
python -c 'from importlib.metadata import version; version("ravenml")' 2>/dev/null ||
    refuse "ravenML itself is not installed in this environment; run 'pip install -e $(dirname "$(dirname "$here")")' first."

trap 'echo "Error: $plugin is not, or only half, installed; run install.sh again, or install.sh -u to remove it." >&2' ERR
index=
[ $requirements = requirements-gpu.txt ] || index=$(python -m ravenml.plugin.requirements cpu-index)
python -m pip install -qq ${index:+--extra-index-url "$index"} -r "$here/$requirements"
python -m pip install -qq --no-deps -e "$here"
python -c "import $plugin.core, torch, lightning_fabric, kornia, matplotlib, cv2"
echo "$plugin is installed and loads."
