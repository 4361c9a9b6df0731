# SPDX-License-Identifier: Apache-2.0
# Walks over failures: docs/internals/faults.md. The injector needs ptrace and the registers of
# x86-64; a sanitizer would take its signals for its own.
if(CMAKE_SYSTEM_PROCESSOR STREQUAL x86_64 AND NOT TMILL_ASAN AND NOT TMILL_TSAN)
  add_executable(injector ${CMAKE_SOURCE_DIR}/tests/fault/injector_main.c)
  set_target_properties(injector PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  target_link_libraries(injector PRIVATE tm_base)

  add_library(failing_malloc SHARED ${CMAKE_SOURCE_DIR}/tests/support/failing_malloc.c)
  set_target_properties(failing_malloc PROPERTIES
    LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  target_link_libraries(failing_malloc PRIVATE tm_flags)

  # A fixed seed: a change is red because of what it changes. Other seeds are for runs by hand.
  add_test(NAME fault.syscalls WORKING_DIRECTORY ${CMAKE_SOURCE_DIR}
    COMMAND sh tests/judges/python.sh -B tests/fault/syscalls.py --points 100 --seed 1)
  # EIO from a sync is fatal and says so: every sync of every scenario, not a sample.
  add_test(NAME fault.syncs WORKING_DIRECTORY ${CMAKE_SOURCE_DIR}
    COMMAND sh tests/judges/python.sh -B tests/fault/syscalls.py --all --error EIO
      --kind fsync --kind fdatasync --kind syncfs)
  add_test(NAME fault.mallocs WORKING_DIRECTORY ${CMAKE_SOURCE_DIR}
    COMMAND sh tests/judges/python.sh -B tests/fault/mallocs.py --points 60 --seed 1)
  set_tests_properties(fault.syscalls fault.syncs fault.mallocs PROPERTIES
    LABELS fault TIMEOUT 900 RUN_SERIAL TRUE
    ENVIRONMENT "TMILL_BIN=${CMAKE_BINARY_DIR}/bin")
endif()
