#!/bin/sh
# Writes .env beside docker-compose.yml: .env.example with a random password wherever one is missing, readable by you
# alone. One that is there stays: the databases were made with its passwords. ENV_FILE=... writes elsewhere.
#
#   sh deploy/make-env.sh
set -eu
here=$(CDPATH='' cd -- "$(dirname "$0")" && pwd)
file=${ENV_FILE:-$here/../.env}
if [ -e "$file" ]; then
    echo "$file is there already, and its passwords are in use; remove it to make new ones" >&2
    exit 2
fi
umask 077
while IFS= read -r line || [ -n "$line" ]; do
    case $line in
    *_PASSWORD=) printf '%s%s\n' "$line" "$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')" ;;
    *) printf '%s\n' "$line" ;;
    esac
done <"$here/../.env.example" >"$file"
echo "passwords are in $file"
