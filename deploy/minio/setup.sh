#!/bin/sh
# Makes the bucket, and one user for each program with the rights it needs and no more.
set -eu
mc alias set nadi http://minio:9000 nadi-admin demonstration-only
mc mb --ignore-existing nadi/nadi
for program in shipper loader; do
    mc admin user add nadi "nadi-$program" "demonstration-$program"
    mc admin policy create nadi "nadi-$program" "/policies/$program.json"
    mc admin policy attach nadi "nadi-$program" --user "nadi-$program" || true # attached already
done
