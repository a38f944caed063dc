#!/bin/sh
# Run once by the PostgreSQL image on an empty folder: each service's database, its owner's role and its service's role.
set -eu
for service in vault audit gateway; do
  name="kms_$service"
  prefix="KMS_$(echo "$service" | tr '[:lower:]' '[:upper:]')"
  owner_password=$(printenv "${prefix}_OWNER_PASSWORD")
  password=$(printenv "${prefix}_PASSWORD")
  psql -v ON_ERROR_STOP=1 -v name="$name" -v owner="${name}_owner" -v password="$password" -v owner_password="$owner_password" <<'SQL'
CREATE ROLE :"owner" LOGIN PASSWORD :'owner_password';
CREATE ROLE :"name" LOGIN PASSWORD :'password';
CREATE DATABASE :"name" OWNER :"owner";
SQL
done
