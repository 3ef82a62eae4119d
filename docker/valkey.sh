#!/bin/sh
# Starts Valkey as the broker. Secrets go through a file that only this user reads: arguments are everybody's to read.
set -eu
umask 077
conf=${RUN_DIR:-/run/poseline}/valkey.conf
case ${VALKEYCLI_AUTH:?is not set} in
    *[!A-Za-z0-9_-]*) echo "POSELINE_VALKEY_PASSWORD may hold letters, digits, - and _ only: it goes into a URL" >&2; exit 2 ;;
esac
# noeviction: a broker that evicts drops messages without a word. The limit lies below the container's, and the window
# of messages is small (decision 1), so it is never near.
# The client's commands are everything but what changes, reads out or stops the server itself; `info` shows the policy.
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
