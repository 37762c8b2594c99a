# Installs the node program from a tar.gz on standard input; run by the client as `sh -c "$(cat bootstrap.sh)"`. Nothing of
# the user is in it. The new tree is complete before it takes the old one's place, in one rename.
set -eu
umask 022
export DEBIAN_FRONTEND=noninteractive LC_ALL=C
target=/usr/local/lib/cloudtool
new=$target.new-$$

if [ "$(id -u)" -ne 0 ]; then
  echo "root is needed" >&2
  exit 1
fi
if ! command -v python3 >/dev/null 2>&1; then
  {
    apt-get -o DPkg::Lock::Timeout=300 update -q
    apt-get -o DPkg::Lock::Timeout=300 install -y -q --no-install-recommends python3
  } >&2 </dev/null
fi

# What earlier installations left when they were killed; one that still runs keeps its own.
for left in "$target".new-*; do
  [ -d "$left" ] || continue
  kill -0 "${left##*-}" 2>/dev/null || rm -rf "$left"
done
trap 'rm -rf "$new"' EXIT
rm -rf "$new"
mkdir -p "$new"
tar -xzf - -C "$new" --no-same-owner
test -s "$new/VERSION"
chmod -R u=rwX,go=rX "$new"
chmod 0755 "$new/cloudtool-node"
# It says on standard output what is wrong.
python3 -I -m compileall -q "$new/node" >&2
sync -f "$new"

# Exchanges the two trees at once (RENAME_EXCHANGE), so that there is no moment without a program.
python3 -I -S - "$new" "$target" <<'PYTHON'
import ctypes
import os
import sys

new, target = sys.argv[1:]
if not os.path.isdir(target):
    os.rename(new, target)
elif ctypes.CDLL(None).renameat2(-100, new.encode(), -100, target.encode(), 2) != 0:
    old = new + "-old"
    os.rename(target, old)
    os.rename(new, target)
    os.rename(old, new)
PYTHON
