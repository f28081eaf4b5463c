#!/usr/bin/env bash
# Makes a Debian or Ubuntu machine able to build and test Limpid: installs what is missing, and fetches the servers
# that Debian does not package. With the word `bench` also what only the benches need. Safe to run at any time; takes a
# second when everything is there.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! command -v cargo >/dev/null; then
  echo "setup: cargo is not on PATH. Install Rust from https://rustup.rs, then run this again." >&2
  exit 2
fi

# Servers live where an ordinary user's PATH does not look.
PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"

missing=()
need_command() { command -v "$1" >/dev/null || missing+=("$2"); }
# Not `grep -q`: it closes the pipe early, and pipefail takes that for a failure.
need_library() { ldconfig -p | grep "$1" >/dev/null || missing+=("$2"); }
need_headers() { [ -e "$1" ] || missing+=("$2"); }

need_command mariadbd mariadb-server
need_command mariadb mariadb-client
need_command prometheus prometheus
need_command java openjdk-17-jre-headless
need_command mvn maven
# Debezium's engine, which only the benches run, is driven by a Java class of ours.
[ "${1:-}" != bench ] || need_command javac openjdk-17-jdk-headless
need_command cc build-essential
need_command make build-essential
need_command pkg-config pkg-config
need_command perl perl
need_command curl curl
need_command openssl openssl
need_command git git
need_command ps procps
need_command python3 python3
python3 -m pip --version >/dev/null 2>&1 || missing+=(python3-pip)
need_headers /usr/include/openssl/ssl.h libssl-dev
need_headers /usr/include/zlib.h zlib1g-dev
need_library 'libnuma\.so\.1' libnuma1
# Newer releases call the package libaio1t64; both serve the fetched MySQL.
if ! ldconfig -p | grep 'libaio\.so\.1' >/dev/null; then
  if apt-cache show libaio1t64 >/dev/null 2>&1; then missing+=(libaio1t64); else missing+=(libaio1); fi
fi

# Debian's packages start their service; the tests start their own, and a developer did not ask for one.
stop_service() {
  if [ -d /run/systemd/system ]; then
    as_root systemctl disable --quiet --now "$1" || true
  elif [ -x "/etc/init.d/$1" ]; then
    as_root "/etc/init.d/$1" stop >/dev/null || true
  fi
}

as_root() {
  if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

if [ "${#missing[@]}" -gt 0 ]; then
  mapfile -t missing < <(printf '%s\n' "${missing[@]}" | sort -u)
  if ! command -v apt-get >/dev/null; then
    echo "setup: these Debian packages, or what corresponds to them here, are missing: ${missing[*]}" >&2
    exit 2
  fi
  if [ "$(id -u)" -ne 0 ] && ! command -v sudo >/dev/null; then
    echo "setup: run as root, since sudo is not here: apt-get install ${missing[*]}" >&2
    exit 2
  fi
  echo "setup: installing ${missing[*]}"
  as_root apt-get -o DPkg::Lock::Timeout=500 -qq update
  as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=500 -qq install -y --no-install-recommends "${missing[@]}"
  for package in "${missing[@]}"; do
    case "$package" in
      mariadb-server) stop_service mariadb ;;
      prometheus) stop_service prometheus ;;
    esac
  done
fi

cargo xtask stack fetch
