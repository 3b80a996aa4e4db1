#!/bin/sh
# TensorFlow Serving with a flag for each variable TFS_<FLAG>: TFS_PORT=8500 becomes --port=8500.
# The server replaces this shell, so that signals reach it.
set -eu

for name in $(env | sed -n 's/^\(TFS_[A-Z_]*\)=.*/\1/p' | sort -r); do
    flag=$(echo "${name#TFS_}" | tr '[:upper:]' '[:lower:]')
    eval "set -- \"--$flag=\$$name\" \"\$@\""
done
exec tensorflow_model_server "$@"
