/* Debian's libbpf.a and libelf.a are not made for shared objects: two places in them cannot be linked into one. This file stands in for them, with
   -Wl,--wrap=stderr in CMakeLists.txt. What libelf would have said is of no use to anybody here. */
#include <stdio.h>

#define HIDDEN __attribute__((visibility("hidden")))

extern FILE *__real_stderr;
HIDDEN FILE *__wrap_stderr;

__attribute__((constructor)) static void set_stderr(void) { __wrap_stderr = __real_stderr; }

HIDDEN void __libelf_seterrno(int value) { (void)value; }

HIDDEN int elf_errno(void) { return 0; }

HIDDEN const char *elf_errmsg(int error) {
  (void)error;
  return "the object is malformed";
}
