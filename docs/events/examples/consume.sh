#!/bin/sh
# Reads the audit topic up to its end with kcat and checks it: sh consume.sh 127.0.0.1:9092
# %K and %S are the lengths of key and value in bytes, so that nothing depends on what stands in them.
kcat -C -q -b "$1" -t kms.audit.v1 -o beginning -e -f '%p %o %K %S\n%k%s\n' | python3 "$(dirname "$0")/check_events.py"
