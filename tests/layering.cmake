# SPDX-License-Identifier: Apache-2.0
#
# cmake [-DROOT=folder] -P tests/layering.cmake
#
# Reads every source below ROOT and fails on any include or system call that these tables do not allow. The compiler
# cannot see to it: the include path is the whole tree, and Debian puts the libraries' headers beside the system's.
# tests/layering_test.cmake proves that each kind of violation is found.
cmake_minimum_required(VERSION 3.25)
if(NOT ROOT)
  get_filename_component(ROOT ${CMAKE_CURRENT_LIST_DIR}/.. ABSOLUTE)
endif()

# 1. Which folders' headers a folder may include: arrows point one way, ipam and netlink do not know each other.
#    tests/<folder> may include what <folder> may, the fakes, what all tests share, and its own.
set(below_conf conf)
set(below_ipam ipam conf)
set(below_netlink netlink conf)
set(below_plugin plugin ipam netlink conf)
set(below_sync ${below_plugin})
set(below_fuzz ${below_plugin})
set(below_fakes ${below_plugin})
set(below_support conf)
set(below_integration integration conf netlink)  # a black box: it never sees the code it tests, only its values
set(below_bench bench integration ${below_plugin})
set(shared_by_tests fakes support)

# 2. Which folders may include which library, by the start of the name between <>. A new one is a decision, so what is
#    in no row is refused. Some are not for the product's headers: they are slow to compile, or leak macros.
set(users_of_fmt/ conf ipam netlink plugin integration bench tests)
set(users_of_nlohmann/ conf plugin integration bench tests)
set(users_of_linux/ netlink plugin integration bench tests)
set(users_of_libmnl/ netlink tests)
set(users_of_CLI/ plugin)
set(users_of_curl/ plugin integration)
set(users_of_doctest/ integration tests)
set(users_of_benchmark/ bench)
set(not_in_headers nlohmann/ linux/ libmnl/ CLI/ curl/)

# 3. System calls, and where they may be made: everything else of the product takes and returns values, or goes through
#    a seam. First the headers that declare them (and the standard library's own ways to the disk), then the calls that
#    other headers let through too. There are no threads: setns is one thread's, and a fork has only one.
set(product conf ipam netlink plugin)
set(edges conf/byte_lock.cc conf/disk.cc conf/fd.h netlink/socket.cc netlink/netns.cc
  plugin/exec.cc plugin/http.cc plugin/lock.cc plugin/main.cc plugin/sync/main.cc)
set(harmless_headers arpa/inet.h assert.h errno.h inttypes.h limits.h math.h netinet/in.h stddef.h stdint.h stdlib.h
  string.h time.h)
set(edge_headers filesystem fstream csignal)
set(calls accept access bind chdir chmod chown chroot close connect creat dup dup2 dup3 execl execle execlp execv
  execve execvp execvpe fchmod fchown fcntl fdatasync flock fopen fork fstat fstatat fsync ftruncate getenv getsockopt
  ioctl kill killpg link linkat listen lseek lstat mkdir mkdirat mkdtemp mkostemp mkstemp mmap mount open openat opendir
  pipe pipe2 poll popen posix_spawn posix_spawnp pread ptrace pwrite read readdir readlink readlinkat readv recv recvfrom
  recvmsg remove rename renameat renameat2 rmdir scandir secure_getenv select send sendmsg sendto setenv setns setpgid
  setsid setsockopt sigaction signal socket socketpair stat statfs statx symlink symlinkat sync syscall system truncate
  umask umount umount2 unlink unlinkat unsetenv unshare utimensat vfork waitid waitpid wait4 write writev)
#    Names that functions of ours have too; they are looked for only as `::name(`. Their headers are an edge's anyway.
set(common_words accept access bind close connect kill link listen mount open pipe poll read remove rename select send
  signal socket stat sync system truncate write)

set(violations "")
function(violation file what)
  set(violations ${violations} "${file}: ${what}" PARENT_SCOPE)
endfunction()

# The folder whose row counts, and the top one: tests/conf/x_test.cc -> conf, tests.
function(folders_of file row top)
  string(REPLACE "/" ";" parts "${file}")
  list(GET parts 0 first)
  set(folder ${first})
  if(first STREQUAL "tests")
    list(LENGTH parts depth)
    if(depth GREATER 2)
      list(GET parts 1 folder)
    endif()
  endif()
  set(${row} ${folder} PARENT_SCOPE)
  set(${top} ${first} PARENT_SCOPE)
endfunction()

function(check_own file row top include)
  string(REGEX MATCH "^[^/]*" target "${include}")
  set(allowed NO)
  if(NOT target STREQUAL "tests")
    if(target IN_LIST below_${row})
      set(allowed YES)
    endif()
  elseif(top STREQUAL "tests" AND include MATCHES "^tests/([^/]+)/")
    if(CMAKE_MATCH_1 STREQUAL row OR CMAKE_MATCH_1 IN_LIST shared_by_tests)
      set(allowed YES)
    endif()
  endif()
  if(NOT allowed)
    violation(${file} "may not include \"${include}\"")
  endif()
  set(violations ${violations} PARENT_SCOPE)
endfunction()

# libc's and the C++ library's own headers; what is in none of these folders is one of the libraries.
function(check_system_header file include)
  if(include IN_LIST harmless_headers OR file IN_LIST edges)
    return()
  endif()
  if(include MATCHES "\\.h$" OR include IN_LIST edge_headers)
    violation(${file} "may not include <${include}>")
  endif()
  set(violations ${violations} PARENT_SCOPE)
endfunction()

function(check_library file row top include)
  if(include MATCHES "^((sys|arpa|net|netinet)/.*|[^/]*)$")
    if(top IN_LIST product)
      check_system_header(${file} "${include}")
    endif()
  else()
    string(REGEX MATCH "^[^/]*/" library "${include}")
    if(NOT top IN_LIST users_of_${library})
      violation(${file} "may not include <${include}>")
    elseif(top IN_LIST product AND file MATCHES "\\.h$" AND library IN_LIST not_in_headers)
      violation(${file} "is a header and may not include <${include}>")
    endif()
  endif()
  set(violations ${violations} PARENT_SCOPE)
endfunction()

function(check_includes file text)
  folders_of(${file} row top)
  string(REGEX MATCHALL "(^|\n)[ \t]*#[ \t]*include[^\n]*" lines "${text}")
  foreach(line IN LISTS lines)
    if(line MATCHES "include[ \t]*<([^>]+)>")
      check_library(${file} ${row} ${top} "${CMAKE_MATCH_1}")
    elseif(line MATCHES "include[ \t]*\"([^\"]+)\"")
      check_own(${file} ${row} ${top} "${CMAKE_MATCH_1}")
    endif()
  endforeach()
  set(violations ${violations} PARENT_SCOPE)
endfunction()

# A call is `::name(` not preceded by a class or namespace, or a plain `name(` where an expression can begin; so that
# neither `disk.read(`, `Netns::open(` nor a declaration such as `Socket open(int bus)` is taken for one.
set(distinct_calls ${calls})
list(REMOVE_ITEM distinct_calls ${common_words})
list(JOIN calls "|" any_call)
list(JOIN distinct_calls "|" any_distinct_call)
set(call_patterns
  "(^|[^A-Za-z0-9_>])::(${any_call})[ ]*\\("
  "([@{}(=!,|?<+-]|&&| :|[^A-Za-z0-9_]return)[ \n]*(${any_distinct_call})[ ]*\\("
  "std::(fopen|getenv|rename|system|tmpfile)[ ]*\\(")
set(thread_pattern "std::(thread|jthread|async)|pthread_create")

# What the compiler sees: without strings, comments and directives.
function(code_of text code)
  string(REGEX REPLACE "'(\\\\.|[^'\\\n])'" "' '" text "${text}")
  string(REGEX REPLACE "\"(\\\\.|[^\"\\\n])*\"" "\"\"" text "${text}")
  string(REGEX REPLACE "//[^\n]*" "" text "${text}")
  string(REGEX REPLACE "/\\*([^*]|\\*+[^*/])*\\*+/" "" text "${text}")
  string(REGEX REPLACE "#[^\n]*" "@" text "${text}")
  set(${code} "${text}" PARENT_SCOPE)
endfunction()

function(check_calls file text)
  code_of("${text}" text)
  string(REGEX MATCHALL "${thread_pattern}" matches "${text}")
  foreach(match IN LISTS matches)
    violation(${file} "may not use ${match}")
  endforeach()
  if(file IN_LIST edges)
    set(call_patterns "")
  endif()
  foreach(pattern IN LISTS call_patterns)
    string(REGEX MATCHALL "${pattern}" matches "${text}")
    foreach(match IN LISTS matches)
      string(REGEX MATCH "(std::)?[a-z0-9_]+[ ]*\\($" name "${match}")
      violation(${file} "may not call ${name})")
    endforeach()
  endforeach()
  set(violations ${violations} PARENT_SCOPE)
endfunction()

# Semicolons and brackets would be taken for list syntax: @ ends a statement instead, and they never matter here.
function(read_source path text)
  file(READ ${path} content)
  string(REPLACE ";" "@" content "${content}")
  string(REPLACE "[" "(" content "${content}")
  string(REPLACE "]" ")" content "${content}")
  set(${text} "${content}" PARENT_SCOPE)
endfunction()

set(count 0)
foreach(folder conf ipam netlink plugin integration bench tests)
  file(GLOB_RECURSE files RELATIVE ${ROOT} ${ROOT}/${folder}/*.cc ${ROOT}/${folder}/*.h)
  foreach(file IN LISTS files)
    if(file MATCHES "^tests/data/")
      continue()
    endif()
    read_source(${ROOT}/${file} text)
    check_includes(${file} "${text}")
    if(folder IN_LIST product)
      check_calls(${file} "${text}")
    endif()
    math(EXPR count "${count} + 1")
  endforeach()
endforeach()

if(count EQUAL 0)
  message(FATAL_ERROR "no sources below ${ROOT}")
endif()
if(violations)
  list(JOIN violations "\n" text)
  message("${text}")
  list(LENGTH violations number)
  message(FATAL_ERROR "${number} violations in ${count} files; the tables are in tests/layering.cmake")
endif()
message(STATUS "${count} files keep to the layers")
