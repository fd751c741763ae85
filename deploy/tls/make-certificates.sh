#!/bin/sh
# Makes an authority of your own, and certificates for PostgreSQL and Redis on one host:
#
#   sh deploy/tls/make-certificates.sh db.example.com [ANOTHER NAME OR ADDRESS ...]
#
# ca.crt goes to every machine, ca.key to none: keep it off the server, and bring it back to renew the certificates,
# which an authority that is there signs without touching the machines. FOLDER=... writes elsewhere than beside this.
set -eu

fail() {
    echo "$1" >&2
    exit 2
}

usage="usage: $0 NAME [NAME ...], the names or addresses by which the machines reach this one"
[ $# -gt 0 ] || fail "$usage"
for name in "$@"; do
    case $name in
    -*) fail "$usage" ;;
    *[!A-Za-z0-9.:_-]* | '') fail "'$name' is neither a host's name nor an address" ;;
    esac
done
cd "${FOLDER:-$(dirname "$0")}"
for file in ca.crt ca.key postgres.crt postgres.key redis.crt redis.key; do
    [ ! -d $file ] || fail "$(pwd)/$file is a folder, made by a Docker that found no certificate: remove it, and try again"
done
if [ -e ca.crt ] && [ ! -e ca.key ]; then
    fail "ca.crt is here without ca.key: bring the key of this authority, which the machines trust, or remove ca.crt"
fi
umask 077
days=825
made=$(mktemp -d ./new.XXXXXX)
trap 'rm -rf "$made"' EXIT

# openssl talks while it works; what it said matters only where it failed.
quietly() {
    "$@" 2>"$made/said" || { cat "$made/said" >&2 && fail "openssl could not make the certificates"; }
}

names=
for name in "$@" postgres redis localhost; do
    case $name in
    *:*) kind=IP ;;
    *[!0-9.]*) kind=DNS ;;
    *) kind=IP ;;
    esac
    names="$names${names:+,}$kind:$name"
done

if [ ! -e ca.key ]; then
    quietly openssl req -x509 -newkey rsa:3072 -nodes -sha256 -days 3650 -subj "/CN=benchbeat authority" \
        -addext basicConstraints=critical,CA:true -addext keyUsage=critical,keyCertSign,cRLSign \
        -keyout "$made/ca.key" -out "$made/ca.crt"
elif [ ! -e ca.crt ]; then
    fail "ca.key is here without ca.crt: bring that too, or remove ca.key"
else
    cp ca.key ca.crt "$made"
fi
for service in postgres redis; do
    printf 'subjectAltName=%s\nbasicConstraints=critical,CA:false\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=serverAuth\n' \
        "$names" >"$made/extensions"
    # The name stands among the extensions; a subject may have 64 characters only.
    quietly openssl req -new -newkey rsa:3072 -nodes -sha256 -subj "/CN=benchbeat $service" \
        -keyout "$made/$service.key" -out "$made/request"
    quietly openssl x509 -req -in "$made/request" -CA "$made/ca.crt" -CAkey "$made/ca.key" \
        -set_serial "0x$(openssl rand -hex 16)" -sha256 -days $days -extfile "$made/extensions" -out "$made/$service.crt"
done
# What is no secret; the keys stay yours alone.
chmod 644 "$made/ca.crt" "$made/postgres.crt" "$made/redis.crt"
for file in ca.key ca.crt postgres.key postgres.crt redis.key redis.crt; do
    mv "$made/$file" $file
done
echo "ca.crt, postgres.crt and redis.crt (for $names, $days days) are in $(pwd)"
