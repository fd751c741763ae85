#!/bin/sh
# Starts PostgreSQL in its image with TLS; deploy/compose.tls.yml runs it. Arguments go to postgres.
set -eu
# PostgreSQL refuses a key that others than its own user might read, and that user can't read yours.
install -o postgres -g postgres -m 0600 /tls/postgres.key /run/postgresql.key
exec docker-entrypoint.sh postgres -c ssl=on -c ssl_key_file=/run/postgresql.key "$@"
