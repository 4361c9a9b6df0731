# SPDX-License-Identifier: Apache-2.0
# Fresh fuzzing: every target for TMILL_FUZZ_SECONDS (60) from the committed corpus. It builds the
# fuzz preset itself, so only the release build registers it.
if(CMAKE_BUILD_TYPE STREQUAL "Release")
  set(TMILL_FUZZ_SECONDS 60 CACHE STRING "Seconds of fresh fuzzing for each target")
  include(ProcessorCount)
  ProcessorCount(cores)
  add_test(NAME fuzz.fresh WORKING_DIRECTORY ${CMAKE_SOURCE_DIR}
    COMMAND ${TMILL_SYSTEM_PYTHON} -B tests/fuzz/fuzz.py --seconds ${TMILL_FUZZ_SECONDS})
  set_tests_properties(fuzz.fresh PROPERTIES LABELS fuzz-fresh TIMEOUT 3600 PROCESSORS ${cores})
endif()

# Messages never nest without end, so no frame can exhaust a stack.
add_test(NAME fuzz.proto_depth WORKING_DIRECTORY ${CMAKE_SOURCE_DIR}
  COMMAND ${TMILL_SYSTEM_PYTHON} -B tests/fuzz/proto_depth.py proto)
set_tests_properties(fuzz.proto_depth PROPERTIES LABELS fuzz TIMEOUT 60)
