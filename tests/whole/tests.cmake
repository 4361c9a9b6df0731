# SPDX-License-Identifier: Apache-2.0
# Tests of the whole programs: tests/whole/test_NAME.py runs bin/tmill and bin/tmill-edge in a home
# of its own (harness.py). A Python that is missing is a failure: deploy/setup.sh installs it.

# tm_whole(NAME [LABEL label] [TIMEOUT seconds]): whole.NAME runs test_NAME.py.
function(tm_whole name)
  cmake_parse_arguments(W "" "LABEL;TIMEOUT" "" ${ARGN})
  if(NOT W_TIMEOUT)
    set(W_TIMEOUT 300)
  endif()
  add_test(NAME whole.${name} WORKING_DIRECTORY ${CMAKE_SOURCE_DIR}
    COMMAND sh tests/judges/python.sh -B tests/whole/test_${name}.py)
  set_tests_properties(whole.${name} PROPERTIES LABELS "whole;${W_LABEL}" TIMEOUT ${W_TIMEOUT}
    ENVIRONMENT "TMILL_BIN=${CMAKE_BINARY_DIR}/bin")
endfunction()

foreach(name test_gguf_files test_safetensors_files test_model_folders test_quantisation
    test_operations test_network test_damaged_packages test_cmd_compress test_cmd_export
    test_cmd_inspect test_cmd_jobs test_cmd_key test_cmd_node test_cmd_publish test_cmd_verify
    test_edge_read test_edge_update)
  string(SUBSTRING ${name} 5 -1 short)
  tm_whole(${short})
endforeach()

# The public cases of bug reports; not run where the folder of shared data is absent.
add_test(NAME cases.shared WORKING_DIRECTORY ${CMAKE_SOURCE_DIR}
  COMMAND sh tests/judges/python.sh -B tests/whole/cases_shared.py)
set_tests_properties(cases.shared PROPERTIES LABELS whole TIMEOUT 600 SKIP_RETURN_CODE 77
  ENVIRONMENT "TMILL_BIN=${CMAKE_BINARY_DIR}/bin")
