# Fills lib/penstock in the build folder: all that the linker reads at run time (see Installation.h). The files come from
# the compiler that builds Penstock, so that no user of it needs one.
set(PENSTOCK_INSTALLATION ${CMAKE_BINARY_DIR}/lib/penstock)
file(MAKE_DIRECTORY ${PENSTOCK_INSTALLATION}/shared ${PENSTOCK_INSTALLATION}/notices)

# penstock_install_file(NAME FOLDER): copies a file that the compiler knows by name, through links.
function(penstock_install_file name folder)
  execute_process(COMMAND ${CMAKE_CXX_COMPILER} -print-file-name=${name} OUTPUT_VARIABLE path
                  OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
  if(NOT IS_ABSOLUTE "${path}")
    message(FATAL_ERROR "the compiler finds no '${name}'; install the C and C++ development packages")
  endif()
  file(REAL_PATH ${path} path)
  configure_file(${path} ${folder}/${name} COPYONLY)
endfunction()

foreach(name Scrt1.o crti.o crtbeginS.o crtendS.o crtn.o libstdc++.a libgcc.a libgcc_eh.a
             libc.so.6 libm.so.6 libc_nonshared.a ld-linux-x86-64.so.2)
  penstock_install_file(${name} ${PENSTOCK_INSTALLATION})
endforeach()

# Libraries copied beside executables whose kernels call them, each with its licence.
function(penstock_install_shared name package)
  penstock_install_file(${name} ${PENSTOCK_INSTALLATION}/shared)
  if(NOT EXISTS /usr/share/doc/${package}/copyright)
    message(FATAL_ERROR "found no licence of '${name}' in /usr/share/doc/${package}/copyright")
  endif()
  configure_file(/usr/share/doc/${package}/copyright ${PENSTOCK_INSTALLATION}/notices/${name}.txt COPYONLY)
endfunction()
# What reads compressed archives of inputs, for the executable of all stages.
penstock_install_file(libz.a ${PENSTOCK_INSTALLATION})
penstock_install_shared(libdnnl.so.2 libdnnl2)
penstock_install_shared(libgomp.so.1 libgomp1)
penstock_install_shared(libgcc_s.so.1 libgcc-s1)
penstock_install_shared(libstdc++.so.6 libstdc++6)
penstock_install_shared(libOpenCL.so.1 ocl-icd-libopencl1)

configure_file(${CMAKE_SOURCE_DIR}/THIRD_PARTY_NOTICES.md ${PENSTOCK_INSTALLATION}/notices/NOTICES.md COPYONLY)

# The parts that this build makes.
set(installed)
foreach(target PenstockRuntime PenstockPlace PenstockSchedule PenstockOneDnn PenstockHost PenstockLaunch penstock-mpi penstock-cuda penstock-nccl launch)
  if(TARGET ${target})
    add_custom_command(
      OUTPUT ${PENSTOCK_INSTALLATION}/.${target}.stamp
      COMMAND ${CMAKE_COMMAND} -E copy_if_different $<TARGET_FILE:${target}> ${PENSTOCK_INSTALLATION}
      COMMAND ${CMAKE_COMMAND} -E touch ${PENSTOCK_INSTALLATION}/.${target}.stamp
      DEPENDS ${target} $<TARGET_FILE:${target}> VERBATIM)
    list(APPEND installed ${PENSTOCK_INSTALLATION}/.${target}.stamp)
  endif()
endforeach()
add_custom_target(PenstockInstallation ALL DEPENDS ${installed})
