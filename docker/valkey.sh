#!/bin/sh
# Starts Valkey as the broker. Secrets go through a file that only this user can read: every user can read arguments.
set -eu
umask 077
conf=${RUN_DIR:-/run/poseline}/valkey.conf
case ${VALKEYCLI_AUTH:?is not set} in
    *[!A-Za-z0-9_-]*) echo "POSELINE_VALKEY_PASSWORD may hold letters, digits, - and _ only: it goes into a URL" >&2; exit 2 ;;
esac
# noeviction: with eviction the broker would silently drop messages. The limit is below the container's and never near:
# the window of messages is small (decision 1).
# Clients may use every command but those that change, dump or stop the server; `info` shows the policy.
cat > "$conf" <<CONF
bind ${BIND:-* -::*}
port ${PORT:-6379}
protected-mode yes
dir ${DATA_DIR:-/data}
maxmemory 256mb
maxmemory-policy noeviction
appendonly yes
appendfsync everysec
save ""
user default on >$VALKEYCLI_AUTH ~poseline:* &* +@all -@dangerous -@admin +info
CONF
exec valkey-server "$conf"
