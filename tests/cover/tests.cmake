# SPDX-License-Identifier: Apache-2.0
# What the tests cover, and gcc's analyzer. Both build beside this build or not at all, so only the
# release build runs them.
if(CMAKE_BUILD_TYPE STREQUAL "Release" AND NOT CMAKE_CROSSCOMPILING AND NOT TMILL_CHECK_KERNELS)
  add_test(NAME cover.thresholds
    COMMAND ${TMILL_SYSTEM_PYTHON} -B ${CMAKE_SOURCE_DIR}/tests/cover/cover.py)
  set_tests_properties(cover.thresholds PROPERTIES LABELS cover TIMEOUT 1800)
endif()
