# SPDX-License-Identifier: Apache-2.0
# Builds for 64-bit ARM, little-endian, with NEON kernels: cmake --preset cross-arm64.
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(TMILL_ARCH arm64)
set(TMILL_TRIPLET aarch64-linux-gnu)
set(TMILL_QEMU qemu-aarch64)
include(${CMAKE_CURRENT_LIST_DIR}/toolchain.cmake)
