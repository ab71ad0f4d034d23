# Only what is listed is copied to the one folder of all modules, and that folder is installed whole.
macro(slicerMacroBuildScriptedModule)
  cmake_parse_arguments(MY "WITH_GENERIC_TESTS;WITH_SUBDIR;VERBOSE" "NAME" "SCRIPTS;RESOURCES" ${ARGN})
  if(MY_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "Unknown keywords given to slicerMacroBuildScriptedModule(): \"${MY_UNPARSED_ARGUMENTS}\"")
  endif()
  set(_destination "${CMAKE_BINARY_DIR}/${Slicer_QTSCRIPTEDMODULES_LIB_DIR}")
  set(_commands)
  foreach(_file ${MY_SCRIPTS} ${MY_RESOURCES})
    if(NOT EXISTS "${CMAKE_CURRENT_SOURCE_DIR}/${_file}")
      message(FATAL_ERROR "slicerMacroBuildScriptedModule given nonexistent file '${_file}'")
    endif()
    get_filename_component(_folder "${_destination}/${_file}" DIRECTORY)
    string(APPEND _commands
      "file(COPY \"${CMAKE_CURRENT_SOURCE_DIR}/${_file}\" DESTINATION \"${_folder}\")\n")
  endforeach()
  file(WRITE "${CMAKE_CURRENT_BINARY_DIR}/copy.cmake" "${_commands}")
  add_custom_target(Copy${MY_NAME}Files ALL
    COMMAND ${CMAKE_COMMAND} -P "${CMAKE_CURRENT_BINARY_DIR}/copy.cmake")
  install(DIRECTORY "${_destination}/"
    DESTINATION "${Slicer_INSTALL_QTSCRIPTEDMODULES_LIB_DIR}" USE_SOURCE_PERMISSIONS)
endmacro()

macro(slicer_add_python_unittest)
  cmake_parse_arguments(MY "" "SCRIPT;TESTNAME_PREFIX" "SLICER_ARGS" ${ARGN})
  if(NOT EXISTS "${CMAKE_CURRENT_SOURCE_DIR}/${MY_SCRIPT}")
    message(FATAL_ERROR "slicer_add_python_unittest given nonexistent file '${MY_SCRIPT}'")
  endif()
endmacro()
