#!/bin/sh
# Installs sharpedge and what it needs from this folder; reaches no network. Run it as root.
# Research use only, not a medical device.
set -eu
cd "$(dirname "$0")"
here=$(pwd)

fail() {
    echo "install.sh: $1" >&2
    exit 1
}

[ "$(id -u)" = 0 ] || fail "needs root (fix: sudo ./install.sh)"
. /etc/os-release
for_release=$(cat release)
[ "$ID-$VERSION_ID-$(dpkg --print-architecture)" = "$for_release" ] ||
    fail "this bundle is for $for_release, the machine is $ID-$VERSION_ID-$(dpkg --print-architecture) \
(fix: take the bundle of that release)"
sha256sum --check --quiet SHA256SUMS ||
    fail "a file was changed or is missing (fix: copy the bundle again)"

# apt looks at this folder alone, and keeps nothing of it. By a link: a space in a path would end it.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/lists"
ln -s "$here/packages" "$work/packages"
echo "deb [trusted=yes] file:$work/packages ./" >"$work/bundle.list"
from_here() {
    apt-get --assume-yes -o Dir::Etc::SourceList="$work/bundle.list" -o Dir::Etc::SourceParts=/dev/null \
        -o Dir::State::Lists="$work/lists" -o APT::Sandbox::User=root "$@"
}
from_here -qq update
DEBIAN_FRONTEND=noninteractive from_here install --no-install-recommends \
    -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold sharpedge mosquitto
