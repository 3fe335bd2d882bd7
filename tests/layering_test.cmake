# SPDX-License-Identifier: Apache-2.0
#
# layering.cmake can fail: in a small tree with every kind of violation it finds those in expected.txt and no others.
cmake_minimum_required(VERSION 3.25)
set(tree ${CMAKE_CURRENT_LIST_DIR}/data/layering)
execute_process(COMMAND ${CMAKE_COMMAND} -DROOT=${tree} -P ${CMAKE_CURRENT_LIST_DIR}/layering.cmake
  RESULT_VARIABLE status ERROR_VARIABLE errors OUTPUT_QUIET)
if(status EQUAL 0)
  message(FATAL_ERROR "the violating tree passed")
endif()
string(REGEX MATCHALL "[a-z_/]+\\.(cc|h): [^\n]+" found "${errors}")
list(SORT found)
file(STRINGS ${tree}/expected.txt expected)
list(SORT expected)
if(NOT found STREQUAL expected)
  list(JOIN found "\n" found)
  list(JOIN expected "\n" expected)
  message(FATAL_ERROR "found:\n${found}\n\nexpected:\n${expected}")
endif()
