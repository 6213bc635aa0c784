# moeplan_floor(NAME SOURCES ... DEPENDS ...): one floor of sim/ as a static library with an explicit list of files.
# moeplan_test(NAME SOURCES ... DEPENDS ...): one doctest binary, registered with ctest.

add_library(moeplan_flags INTERFACE)
# -Wno-restrict: g++ 12 warns falsely about "text" + std::string (GCC bug 105651).
target_compile_options(moeplan_flags INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-Wall;-Wextra;-Wconversion;-Wshadow;-Wno-restrict>)
target_include_directories(moeplan_flags INTERFACE ${CMAKE_SOURCE_DIR}/sim)
if(MOEPLAN_DEV)
  # -Og: JSON parsing at -O0 under the sanitizers takes minutes. -g1: lines in reports, at a fraction of the link time.
  target_compile_options(moeplan_flags INTERFACE -Werror -Og -g1 -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer)
  target_link_options(moeplan_flags INTERFACE -fsanitize=address,undefined)
endif()

function(moeplan_floor name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS" ${ARGN})
  add_library(moeplan_${name} STATIC ${ARG_SOURCES})
  target_link_libraries(moeplan_${name} PUBLIC moeplan_flags ${ARG_DEPENDS})
endfunction()

# Tests of everything below the studies: what `.ci/run` also runs under the sanitizers. The others parse JSON for minutes there: `./test dev` runs all.
add_custom_target(engine_tests)

function(moeplan_test name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS" ${ARGN})
  if(NOT TARGET doctest_main)
    add_library(doctest_main OBJECT ${CMAKE_SOURCE_DIR}/tests/support/doctest_main.cpp)
    target_link_libraries(doctest_main PRIVATE moeplan_flags doctest::doctest)
  endif()
  add_executable(test_${name} ${ARG_SOURCES} $<TARGET_OBJECTS:doctest_main>)
  target_include_directories(test_${name} PRIVATE ${CMAKE_SOURCE_DIR}/tests)
  target_link_libraries(test_${name} PRIVATE moeplan_flags doctest::doctest ${ARG_DEPENDS})
  target_compile_definitions(test_${name} PRIVATE MOEPLAN_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
  add_test(NAME ${name} COMMAND test_${name} --no-version)
  if(name MATCHES "^(base|input|events|hardware|model|workload|routing|calibration|cost|network|serving|metrics|laws|check_floors)")
    add_dependencies(engine_tests test_${name})
    set_tests_properties(${name} PROPERTIES LABELS engine)
  endif()
endfunction()
