#!/usr/bin/env bash
# Set up and pass the tests. Arguments go to pytest, e.g. scripts/test.sh tests/formats -x
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/environment.sh
environment test
welcome qemu-aarch64-static qemu-user-static
welcome qemu-aarch64 qemu-user # the static one loads no plugins
welcome llvm-mca-19 llvm-19
welcome spirv-val spirv-tools
welcome "/usr/share/vulkan/icd.d/lvp_icd.$(uname -m).json" mesa-vulkan-drivers
welcome /usr/share/vulkan/explicit_layer.d/VkLayer_khronos_validation.json vulkan-validationlayers
welcome sshd openssh-server
ruff check .
ruff format --check .
mypy
lint-imports
exec python -m pytest --numprocesses 2 --dist loadgroup "$@"
