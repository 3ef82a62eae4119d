#!/bin/sh
# Writes .env from .env.example with a fresh secret for every empty value: `sh docker/make-env.sh`.
set -eu
cd "$(dirname "$0")/.."
if [ -e .env ]; then
    echo ".env exists already and is kept: the servers' data was made with its secrets" >&2
    exit 1
fi
umask 077
draft=.env.$$
trap 'rm -f "$draft"' EXIT
while IFS= read -r line || [ -n "$line" ]; do
    case $line in
        [A-Z]*=) printf '%s%s\n' "$line" "$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')" ;;
        *) printf '%s\n' "$line" ;;
    esac
done < .env.example > "$draft"
mv "$draft" .env
echo "wrote .env; keep it: the servers' data cannot be opened without these secrets"
