#!/bin/sh
# Prints the users.acl of benchbeat's Redis: who may run which commands on which keys (docs/machines.md has the table).
# Passwords come from the environment and appear in the output as SHA-256 only:
#
#   set -a; . ./.env; set +a; sh deploy/redis/users.sh > users.acl
set -eu

# The password in the variable $1, hashed. It stands in URLs too: letters, digits, - and _ need no quoting there.
hashed() {
    eval "password=\${$1:-}"
    case $password in
    '') echo "$1 is not set; .env.example says how to make one" >&2 && return 1 ;;
    *[!A-Za-z0-9_-]*) echo "$1 may hold letters, digits, - and _ only" >&2 && return 1 ;;
    esac
    if [ ${#password} -lt 16 ]; then
        echo "$1 is shorter than 16 characters: its hash could be guessed" >&2 && return 1
    fi
    # coreutils and busybox have the first, a Mac the second
    if command -v sha256sum >/dev/null; then
        printf %s "$password" | sha256sum | cut -d ' ' -f 1
    else
        printf %s "$password" | shasum -a 256 | cut -d ' ' -f 1
    fi
}

# Assigned one by one: a failure inside a longer command would go unnoticed.
admin=$(hashed REDIS_ADMIN_PASSWORD)
submitter=$(hashed REDIS_SUBMITTER_PASSWORD)
beat=$(hashed REDIS_BEAT_PASSWORD)
worker=$(hashed REDIS_WORKER_PASSWORD)
flower=$(hashed REDIS_FLOWER_PASSWORD)

# What every client says first.
hello='+hello +auth +client|setinfo +client|setname +ping +select'
# The queues (scheduler/queues.py), and kombu's notes of which there are.
queues='~mps.* ~cuda.* ~cpu.* ~any.* ~machine.* ~batch.* ~_kombu.binding.* ~_kombu.binding_permanent.*'
# To ring: note the queue, count the rings in it, add one.
ring='+sadd +llen +lpush +multi +exec'
# To take a ring, keep it aside until it is acknowledged, and put back what a lost worker kept aside; to empty a queue.
take='+brpop +rpush +smembers +hset +hget +hdel +zadd +zrem +zrange +watch +unwatch +del'
# ... which one worker does at a time, under a lock that takes two short scripts.
lock='+set +get +evalsha +script|load'
aside='~unacked ~unacked_index ~unacked_mutex'
# What workers say of themselves, for Flower. Events go nowhere but to who listens.
events='&/0.celeryev/*'
# To listen to them: a binding that says so, with its end, and the subscription.
listen='+multi +exec +sadd +srem +smembers +evalsha +script|load +script|exists +time +zadd +zrem +zrangebyscore +exists +llen +del +subscribe +psubscribe +unsubscribe +punsubscribe'
listen="$listen ~celeryev.* ~_kombu.binding.celeryev ~_kombu.binding_permanent.celeryev ~_kombu.binding_deadlines"
# Celery's listener also asks all workers for a sign of life, over remote control. None hears it, as that is off.
wake='+publish &/0.celery.pidbox'

cat <<END
user default off resetpass resetkeys resetchannels -@all
user admin on #$admin ~* &* +@all
user submitter on #$submitter resetchannels -@all $hello $ring $queues
user beat on #$beat resetchannels -@all $hello $ring $queues
user worker on #$worker resetchannels -@all $hello $ring $take $lock +publish $queues $aside $events
user flower on #$flower resetchannels -@all $hello $listen $events $wake
END
