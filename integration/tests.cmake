# The black-box tests of the binary.

# A stand-in for any plugin, driven by files.
add_executable(recorder delegates/recorder.cc)
target_link_libraries(recorder PRIVATE project_options nlohmann_json::nlohmann_json)

# What programs that stand for one plugin have in common.
add_library(stand_in STATIC delegates/stand_in.cc)
target_link_libraries(stand_in PUBLIC nlohmann_json::nlohmann_json PRIVATE integration_support project_options)
add_executable(flannel-stand-in delegates/flannel_stand_in.cc)
target_link_libraries(flannel-stand-in PRIVATE stand_in integration_support project_options)

# The built binary, black box. Every case enters namespaces of its own; needs root.
include(doctest)
add_executable(integration_tests ${CMAKE_CURRENT_SOURCE_DIR}/../tests/main.cc
  coexistence_test.cc
  concurrency_test.cc
  delegates/recorder_test.cc
  differential/compare.cc
  differential/corpus.cc
  differential_test.cc
  fixture/agent.cc
  fixture/answer.cc
  fixture/node.cc
  fixture/recorder.cc
  fixture/recording.cc
  kill_test.cc
  recorded_test.cc
  verbs/add_test.cc
  verbs/agent_test.cc
  verbs/battlefield_test.cc
  verbs/check_status_gc_test.cc
  verbs/config_test.cc
  verbs/decision_test.cc
  verbs/del_test.cc
  verbs/discovery_test.cc
  verbs/environment_test.cc
  verbs/evidence_test.cc
  verbs/habits_test.cc
  verbs/install_test.cc
  verbs/races_test.cc
  verbs/state_test.cc)
target_compile_definitions(integration_tests PRIVATE BIN_DIR="${CMAKE_RUNTIME_OUTPUT_DIRECTORY}"
  TEST_DATA="${CMAKE_SOURCE_DIR}/tests/data")
target_link_libraries(integration_tests PRIVATE integration_support project_options doctest::doctest
  nlohmann_json::nlohmann_json)
add_dependencies(integration_tests crossover flannel-stand-in libcni_driver recorder)
doctest_discover_tests(integration_tests TEST_PREFIX "integration: " PROPERTIES TIMEOUT 300 LABELS integration)

add_executable(ipam_integration_tests ${CMAKE_CURRENT_SOURCE_DIR}/../tests/main.cc
  fixture/agent.cc
  ipam_leases_test.cc
  ipam_source_test.cc
  ipam_test.cc)
target_compile_definitions(ipam_integration_tests PRIVATE BIN_DIR="${CMAKE_RUNTIME_OUTPUT_DIRECTORY}"
  TEST_DATA="${CMAKE_SOURCE_DIR}/tests/data")
target_link_libraries(ipam_integration_tests PRIVATE integration_support project_options doctest::doctest
  nlohmann_json::nlohmann_json)
add_dependencies(ipam_integration_tests crossover)
doctest_discover_tests(ipam_integration_tests TEST_PREFIX "integration: " PROPERTIES TIMEOUT 300 LABELS integration)

# Leases when the program is killed, and when the disk is full or cannot be written.
add_executable(ipam_durability_tests ${CMAKE_CURRENT_SOURCE_DIR}/../tests/main.cc
  fixture/answer.cc
  fixture/leases.cc
  ipam_disk_test.cc
  ipam_kill_test.cc)
target_compile_definitions(ipam_durability_tests PRIVATE BIN_DIR="${CMAKE_RUNTIME_OUTPUT_DIRECTORY}")
target_link_libraries(ipam_durability_tests PRIVATE integration_support project_options doctest::doctest
  nlohmann_json::nlohmann_json fmt::fmt-header-only)
add_dependencies(ipam_durability_tests crossover)
doctest_discover_tests(ipam_durability_tests TEST_PREFIX "integration: " PROPERTIES TIMEOUT 300 LABELS integration)

# Packets through crossover-portmap, beside Debian's bridge.
add_executable(portmap_integration_tests ${CMAKE_CURRENT_SOURCE_DIR}/../tests/main.cc
  fixture/port_node.cc
  host_ports_test.cc
  portmap_matrix_test.cc
  portmap_test.cc)
target_compile_definitions(portmap_integration_tests PRIVATE BIN_DIR="${CMAKE_RUNTIME_OUTPUT_DIRECTORY}")
target_link_libraries(portmap_integration_tests PRIVATE integration_support project_options doctest::doctest
  nlohmann_json::nlohmann_json)
add_dependencies(portmap_integration_tests crossover)
doctest_discover_tests(portmap_integration_tests TEST_PREFIX "integration: " PROPERTIES TIMEOUT 300 LABELS integration)

# What the reference portmap left behind. On its own: it has its own /var/lib/cni.
add_executable(reference_ports_tests ${CMAKE_CURRENT_SOURCE_DIR}/../tests/main.cc
  reference_ports_test.cc)
target_compile_definitions(reference_ports_tests PRIVATE BIN_DIR="${CMAKE_RUNTIME_OUTPUT_DIRECTORY}"
  TEST_DATA="${CMAKE_SOURCE_DIR}/tests/data")
target_link_libraries(reference_ports_tests PRIVATE integration_support project_options doctest::doctest
  nlohmann_json::nlohmann_json)
add_dependencies(reference_ports_tests crossover)
doctest_discover_tests(reference_ports_tests TEST_PREFIX "integration: " PROPERTIES TIMEOUT 300 LABELS integration)

# crossover-sync beside a stand-in for the API server, and behind openssl's TLS.
if(TARGET crossover_sync)
  add_executable(sync_integration_tests ${CMAKE_CURRENT_SOURCE_DIR}/../tests/main.cc
    fixture/api_server.cc
    sync_test.cc
    sync_watch_test.cc)
  target_compile_definitions(sync_integration_tests PRIVATE BIN_DIR="${CMAKE_RUNTIME_OUTPUT_DIRECTORY}")
  target_link_libraries(sync_integration_tests PRIVATE integration_support project_options doctest::doctest
    nlohmann_json::nlohmann_json)
  add_dependencies(sync_integration_tests crossover crossover_sync)
  doctest_discover_tests(sync_integration_tests TEST_PREFIX "integration: " PROPERTIES TIMEOUT 300 LABELS integration)
endif()
