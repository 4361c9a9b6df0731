# SPDX-License-Identifier: Apache-2.0
# Builds for IBM Z, which is big-endian: cmake --preset cross-s390x.
set(CMAKE_SYSTEM_PROCESSOR s390x)
set(TMILL_ARCH s390x)
set(TMILL_TRIPLET s390x-linux-gnu)
set(TMILL_QEMU qemu-s390x)
include(${CMAKE_CURRENT_LIST_DIR}/toolchain.cmake)
