#!/bin/sh
# Makes the application's role and database on the data directory's first start.
# The role can make neither roles nor databases.
# Secrets come from the environment, never as arguments: every user can read arguments.
set -eu
psql -v ON_ERROR_STOP=1 --no-psqlrc --quiet --username "$POSTGRES_USER" --dbname postgres <<'SQL'
SET log_min_error_statement = panic; -- a statement that fails must not be logged with the password
\getenv password POSELINE_POSTGRES_PASSWORD
CREATE ROLE poseline LOGIN PASSWORD :'password';
CREATE DATABASE poseline OWNER poseline;
REVOKE CONNECT ON DATABASE postgres FROM PUBLIC;
SQL
