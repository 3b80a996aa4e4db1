#!/bin/sh
# TensorFlow Serving with a flag for each variable TFS_<FLAG>: TFS_PORT=8500 becomes --port=8500.
# The server replaces this shell, so that signals reach it.
# Where the processor has bfloat16 it is about twice as fast; TFS_MIXED_PRECISION= keeps float32.
set -eu

if [ -z "${TFS_MIXED_PRECISION+set}" ] && grep -qwE 'avx512_bf16|amx_bf16' /proc/cpuinfo; then
    export TFS_MIXED_PRECISION=bfloat16
fi
for name in $(env | sed -n 's/^\(TFS_[A-Z_]*\)=.*/\1/p' | sort -r); do
    flag=$(echo "${name#TFS_}" | tr '[:upper:]' '[:lower:]')
    eval "set -- \"--$flag=\$$name\" \"\$@\""
done
exec tensorflow_model_server "$@"
