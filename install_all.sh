#!/usr/bin/env bash
# Runs the install.sh of every plugin in plugins/; install_all.sh -h explains.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

usage() {
    cat <<END
usage: install_all.sh [-u] [-g] [-c] [-n] [-h]
Installs every plugin of $root/plugins into the active environment.
  -u  uninstall them instead; their dependencies stay
  -g  for an NVIDIA GPU
  -c  afterwards, let pip put back what environment.yml asks for and is missing or out of range
  -n  only say what would happen
  -h  this help
END
}

pass_on='' uninstall=no complete=no only_say=no
while getopts ugcnh option; do
    case $option in
        u) uninstall=yes ;;
        g) pass_on=-g ;;
        c) complete=yes ;;
        n) only_say=yes ;;
        h) usage && exit 0 ;;
        *) usage >&2 && exit 2 ;;
    esac
done
shift $((OPTIND - 1))
[ $# -eq 0 ] || { echo "Error: install_all.sh takes no argument '$1'; see install_all.sh -h." >&2 && exit 1; }
[ $uninstall = no ] || pass_on=-u

failed=''
for script in "$root"/plugins/*/install.sh; do
    name=$(basename "$(dirname "$script")")
    if [ $only_say = yes ]; then
        echo "would run: $script $pass_on"
    else
        echo "$name:"
        "$script" ${pass_on:+"$pass_on"} || failed="$failed $name"
    fi
done

if [ $complete = yes ]; then
    python=$(command -v python || command -v python3)
    # the lines below 'pip:' are the core's own requirements, as pip writes them
    wanted=$(sed -n '/^ *- pip:/,$ s/^      - //p' "$root/environment.yml" | tr -d '"')
    if [ $only_say = yes ]; then
        echo "would let pip check, and restore where needed:" && echo "$wanted"
    else
        list=$(mktemp)
        trap 'rm -f "$list"' EXIT
        echo "$wanted" >"$list"
        "$python" -m pip install -qq -r "$list"
        echo "What environment.yml asks for is installed and in range (checked with pip)."
    fi
fi

[ -z "$failed" ] || { echo "Error: these failed, see above:$failed." >&2 && exit 1; }
