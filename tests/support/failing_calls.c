/* Preloaded into a program (LD_PRELOAD), fails one call that changes something below a folder, as a disk would.
 *
 * FAULT_FOLDER  the folder; calls on other files pass
 * FAULT_AT      which of these calls fails, from 1; 0 for none, until `refuse` says otherwise
 * FAULT_ERRNO   the error it fails with
 * FAULT_LOG     gets a line that names the call that failed, and at exit how many calls there were
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static atomic_long calls, refused;
static atomic_int with;

/* Refuses another call, and counts anew: for a process that tries many. Returns how many calls there were. */
long refuse(long at, int error) {
    atomic_store(&with, error);
    atomic_store(&refused, at);
    return atomic_exchange(&calls, 0);
}

__attribute__((constructor)) static void begin(void) {
    const char *at = getenv("FAULT_AT"), *error = getenv("FAULT_ERRNO");
    refuse(at ? atol(at) : 0, error ? atoi(error) : 0);
}

static void say(const char *line) {
    const char *log = getenv("FAULT_LOG");
    int fd = log ? (int)syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND, 0644) : -1;
    if (fd < 0) return;
    syscall(SYS_write, fd, line, strlen(line));
    syscall(SYS_close, fd);
}

static int fails(const char *call, const char *path) {
    const char *folder = getenv("FAULT_FOLDER");
    if (!folder || !path) return 0;
    size_t length = strlen(folder);
    if (strncmp(path, folder, length) || (path[length] && path[length] != '/')) return 0;
    if (atomic_fetch_add(&calls, 1) + 1 != atomic_load(&refused)) return 0;
    char line[PATH_MAX + 64];
    snprintf(line, sizeof line, "failed %s %s\n", call, path + length);
    say(line);
    errno = atomic_load(&with);
    return 1;
}

static const char *of_fd(int fd, char *held) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, held, PATH_MAX - 1);
    if (n < 0) return NULL;
    held[n] = 0;
    return held;
}

static int fails_fd(const char *call, int fd) {
    int before = errno;
    char held[PATH_MAX];
    const char *path = of_fd(fd, held);
    errno = before;
    return fails(call, path);
}

static int fails_at(const char *call, int folder, const char *name) {
    char held[PATH_MAX], joined[2 * PATH_MAX];
    if (name[0] == '/' || folder == AT_FDCWD) return fails(call, name);
    int before = errno;
    const char *path = of_fd(folder, held);
    errno = before;
    if (!path) return 0;
    snprintf(joined, sizeof joined, "%s/%s", path, name);
    return fails(call, joined);
}

__attribute__((destructor)) static void finish(void) {
    char line[64];
    snprintf(line, sizeof line, "calls %ld\n", atomic_load(&calls));
    say(line);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define WRITES(flags) ((flags) & (O_WRONLY | O_RDWR | O_CREAT | O_TRUNC))
#define MODE(flags, last)                      \
    mode_t mode = 0;                           \
    if ((flags) & (O_CREAT | O_TMPFILE)) {     \
        va_list more;                          \
        va_start(more, last);                  \
        mode = va_arg(more, mode_t);           \
        va_end(more);                          \
    }

#define OPEN(name)                                                        \
    int name(const char *path, int flags, ...) {                          \
        MODE(flags, flags)                                                \
        if (WRITES(flags) && fails("open", path)) return -1;              \
        return REAL(name)(path, flags, mode);                             \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(name)                                                      \
    int name(int folder, const char *path, int flags, ...) {              \
        MODE(flags, flags)                                                \
        if (WRITES(flags) && fails_at("open", folder, path)) return -1;   \
        return REAL(name)(folder, path, flags, mode);                     \
    }
OPENAT(openat)
OPENAT(openat64)

#define ON_FD(type, name, parameters, arguments)                          \
    type name parameters {                                                \
        if (fails_fd(#name, fd)) return -1;                               \
        return REAL(name) arguments;                                      \
    }
ON_FD(ssize_t, write, (int fd, const void *data, size_t n), (fd, data, n))
ON_FD(ssize_t, pwrite, (int fd, const void *data, size_t n, off_t at), (fd, data, n, at))
ON_FD(ssize_t, pwrite64, (int fd, const void *data, size_t n, off64_t at), (fd, data, n, at))
ON_FD(ssize_t, writev, (int fd, const struct iovec *parts, int n), (fd, parts, n))
ON_FD(ssize_t, pwritev, (int fd, const struct iovec *parts, int n, off_t at), (fd, parts, n, at))
ON_FD(ssize_t, pwritev64, (int fd, const struct iovec *parts, int n, off64_t at), (fd, parts, n, at))
ON_FD(int, fsync, (int fd), (fd))
ON_FD(int, fdatasync, (int fd), (fd))
ON_FD(int, ftruncate, (int fd, off_t size), (fd, size))
ON_FD(int, ftruncate64, (int fd, off64_t size), (fd, size))

#define ON_PATH(name, parameters, arguments)                              \
    int name parameters {                                                 \
        if (fails(#name, path)) return -1;                                \
        return REAL(name) arguments;                                      \
    }
ON_PATH(mkdir, (const char *path, mode_t mode), (path, mode))
ON_PATH(rmdir, (const char *path), (path))
ON_PATH(unlink, (const char *path), (path))
ON_PATH(rename, (const char *path, const char *new), (path, new))
ON_PATH(link, (const char *path, const char *new), (path, new))

#define ON_AT(name, parameters, arguments)                                \
    int name parameters {                                                 \
        if (fails_at(#name, folder, path)) return -1;                     \
        return REAL(name) arguments;                                      \
    }
ON_AT(mkdirat, (int folder, const char *path, mode_t mode), (folder, path, mode))
ON_AT(unlinkat, (int folder, const char *path, int flags), (folder, path, flags))
ON_AT(renameat, (int folder, const char *path, int other, const char *new), (folder, path, other, new))
ON_AT(renameat2, (int folder, const char *path, int other, const char *new, unsigned flags),
      (folder, path, other, new, flags))
