#!/bin/sh
# Starts Redis with benchbeat's users; docker-compose.yml runs it in the image of Redis. Arguments go to redis-server.
set -eu
here=$(CDPATH='' cd -- "$(dirname "$0")" && pwd)
# What only this Redis may read: in the container's memory, in a folder of yours without one.
private=${REDIS_PRIVATE:-/run/benchbeat}
umask 077
mkdir -p "$private"
sh "$here/users.sh" >"$private/users.acl"
# A key that its owner alone may read on the host is unreadable for the container's user until it is copied.
key=${REDIS_KEY:-/tls/redis.key}
if [ -e "$key" ]; then
    cp "$key" "$private/redis.key"
fi
unset REDIS_ADMIN_PASSWORD REDIS_SUBMITTER_PASSWORD REDIS_BEAT_PASSWORD REDIS_WORKER_PASSWORD REDIS_FLOWER_PASSWORD
set -- redis-server "$here/redis.conf" --aclfile "$private/users.acl" "$@"
if [ "$(id -u)" = 0 ] && command -v docker-entrypoint.sh >/dev/null; then
    chown -R redis "$private"
    # The image's own: goes on as the user redis.
    exec docker-entrypoint.sh "$@"
fi
exec "$@"
