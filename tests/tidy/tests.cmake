# SPDX-License-Identifier: Apache-2.0
# The house's watchman and its own test; the standard library of any Python 3 is enough.
foreach(script tidy tidy_test)
  add_test(NAME tidy.${script}
    COMMAND ${TMILL_SYSTEM_PYTHON} -B ${CMAKE_SOURCE_DIR}/tests/tidy/${script}.py)
  set_tests_properties(tidy.${script} PROPERTIES LABELS tidy TIMEOUT 120)
endforeach()

# clang-tidy over every source of the product (.clang-tidy names the checks). Minutes on two cores.
find_program(TMILL_RUN_CLANG_TIDY NAMES run-clang-tidy run-clang-tidy-14 REQUIRED)
set(folders "(base|crypto|model|model/[a-z]+|stages|package|proto|scheduler|node/[a-z]+)")
add_test(NAME tidy.clang
  COMMAND ${TMILL_RUN_CLANG_TIDY} -quiet -p ${CMAKE_BINARY_DIR}
    "${CMAKE_SOURCE_DIR}/${folders}/[a-z0-9_]+(?<!_test)(?<!_fuzz)[.]c$")
set_tests_properties(tidy.clang PROPERTIES LABELS "tidy;slow" TIMEOUT 1800)

# gcc's own analyzer over the same sources; the flags are those of the build.
if(CMAKE_C_COMPILER_ID STREQUAL GNU AND NOT CMAKE_CROSSCOMPILING)
  add_test(NAME tidy.analyzer
    COMMAND ${TMILL_SYSTEM_PYTHON} -B ${CMAKE_SOURCE_DIR}/tests/tidy/analyzer.py
      ${CMAKE_BINARY_DIR})
  set_tests_properties(tidy.analyzer PROPERTIES LABELS "tidy;slow" TIMEOUT 900)
endif()
