-- benchbeat's database and its logins. A superuser runs it with psql, once, and again to change a password:
--
--   set -a; . ./.env; set +a; sudo -u postgres --preserve-env psql -X -d postgres -f deploy/postgresql/roles.sql
--
-- benchbeat_owner   owns tables and views; only `benchbeat db upgrade` needs it
-- benchbeat_app     the services and whoever submits; `benchbeat db upgrade` grants it what they need (db/app_role.py)
-- benchbeat_reader  `benchbeat sql` and charts: may read the views, and nothing else
\set ON_ERROR_STOP on
\getenv owner_password POSTGRES_OWNER_PASSWORD
\getenv app_password POSTGRES_APP_PASSWORD
\getenv reader_password POSTGRES_READER_PASSWORD
\if :{?owner_password}
\else
DO 'BEGIN RAISE EXCEPTION ''POSTGRES_OWNER_PASSWORD is not set: see .env.example''; END';
\endif
\if :{?app_password}
\else
DO 'BEGIN RAISE EXCEPTION ''POSTGRES_APP_PASSWORD is not set: see .env.example''; END';
\endif
\if :{?reader_password}
\else
DO 'BEGIN RAISE EXCEPTION ''POSTGRES_READER_PASSWORD is not set: see .env.example''; END';
\endif

-- The server's log must not hold the passwords, whatever it logs.
SET log_statement = 'none';
SET log_min_duration_statement = -1;
SET log_min_error_statement = 'panic';

SELECT format('CREATE ROLE %I', name)
FROM unnest(ARRAY['benchbeat_owner', 'benchbeat_app', 'benchbeat_reader']) AS name
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) \gexec

ALTER ROLE benchbeat_owner LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD :'owner_password';
ALTER ROLE benchbeat_app LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD :'app_password';
ALTER ROLE benchbeat_reader LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOINHERIT CONNECTION LIMIT 50
    PASSWORD :'reader_password';
ALTER ROLE benchbeat_reader SET default_transaction_read_only = on;
ALTER ROLE benchbeat_reader SET idle_in_transaction_session_timeout = '15min';

SELECT 'CREATE DATABASE benchbeat OWNER benchbeat_owner'
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'benchbeat') \gexec

REVOKE ALL ON DATABASE benchbeat FROM PUBLIC;
GRANT CONNECT ON DATABASE benchbeat TO benchbeat_app, benchbeat_reader;
