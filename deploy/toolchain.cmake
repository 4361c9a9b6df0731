# SPDX-License-Identifier: Apache-2.0
# What the two toolchain files share: they set TMILL_ARCH (Debian's name), TMILL_TRIPLET and
# TMILL_QEMU and include this. Debian's cross compiler, the libraries of the folder that
# deploy/setup.sh fills (docs/decisions/0007), and qemu's user mode to run what comes out.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_C_COMPILER ${TMILL_TRIPLET}-gcc)

if(DEFINED ENV{TMILL_SYSROOTS})
  set(sysroots $ENV{TMILL_SYSROOTS})
elseif(DEFINED ENV{TMILL_CACHE})
  set(sysroots $ENV{TMILL_CACHE}/sysroots)
elseif(DEFINED ENV{XDG_CACHE_HOME})
  set(sysroots $ENV{XDG_CACHE_HOME}/tensormill/sysroots)
else()
  set(sysroots $ENV{HOME}/.cache/tensormill/sysroots)
endif()
set(CMAKE_SYSROOT ${sysroots}/${TMILL_ARCH})
if(NOT EXISTS ${CMAKE_SYSROOT}/usr/include)
  message(FATAL_ERROR "no libraries for ${TMILL_ARCH} in ${CMAKE_SYSROOT}: run deploy/setup.sh")
endif()

set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_LIBRARY_ARCHITECTURE ${TMILL_TRIPLET})
set(ENV{PKG_CONFIG_SYSROOT_DIR} ${CMAKE_SYSROOT})
set(ENV{PKG_CONFIG_LIBDIR}
  ${CMAKE_SYSROOT}/usr/lib/${TMILL_TRIPLET}/pkgconfig:${CMAKE_SYSROOT}/usr/share/pkgconfig)
set(CMAKE_CROSSCOMPILING_EMULATOR ${TMILL_QEMU} -L ${CMAKE_SYSROOT})
