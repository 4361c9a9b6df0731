# SPDX-License-Identifier: Apache-2.0
# Whether the unit tests notice a condition that was made wrong: a sample, or with
# TMILL_MUTANTS=all each one. It links the tests of this build anew, each with a mutant.
if(CMAKE_BUILD_TYPE STREQUAL "Release" AND NOT CMAKE_CROSSCOMPILING AND NOT TMILL_CHECK_KERNELS)
  add_test(NAME mutants.modules
    COMMAND ${TMILL_SYSTEM_PYTHON} -B ${CMAKE_SOURCE_DIR}/tests/mutants/mutants.py
      ${CMAKE_BINARY_DIR})
  set_tests_properties(mutants.modules PROPERTIES LABELS mutants PROCESSORS 2 TIMEOUT 7200)
endif()
