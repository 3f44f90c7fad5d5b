/* Preloaded into an appliance: logs what it writes below DISK_ROOT, and what it sends, in order.
 *
 * A record is a line "op <tab> path <tab> other path <tab> offset <tab> length" and the bytes.
 * tests/faults/power.py makes of it the disks that a power cut could leave.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
static int log_fd = -1;
static const char *root;

#define REAL(name) __typeof__(&name) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

__attribute__((constructor)) static void begin(void) {
    root = getenv("DISK_ROOT");
    const char *path = getenv("DISK_LOG");
    if (root && path) log_fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static int ours(const char *path) {
    return log_fd >= 0 && path && !strncmp(path, root, strlen(root)) && !strstr(path, "-shm");
}

static int path_of(int fd, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, 4095);
    path[length > 0 ? length : 0] = 0;
    return fd != log_fd && ours(path);
}

static void note(const char *op, const char *path, const char *other, off_t at, const void *data,
                 size_t length) {
    char head[9000];
    int size = snprintf(head, sizeof head, "%s\t%s\t%s\t%lld\t%zu\n", op, path, other,
                        (long long)at, length);
    struct iovec parts[2] = {{head, (size_t)size}, {(void *)data, length}};
    if (writev(log_fd, parts, data ? 2 : 1) < 0) abort();
}

static void opened(int fd, int flags, int new) {
    char path[4096];
    if (fd < 0 || !path_of(fd, path)) return;
    if (new) note("create", path, "", 0, NULL, 0);
    if (flags & O_TRUNC) note("truncate", path, "", 0, NULL, 0);
}

#define OPEN(name, ...)                                                                            \
    REAL(name);                                                                                    \
    mode_t mode = 0;                                                                               \
    if (flags & (O_CREAT | __O_TMPFILE)) {                                                         \
        va_list more;                                                                              \
        va_start(more, flags);                                                                     \
        mode = va_arg(more, mode_t);                                                               \
        va_end(more);                                                                              \
    }                                                                                              \
    pthread_mutex_lock(&turn);                                                                     \
    int new = (flags & O_CREAT) && access(path, F_OK) != 0;                                        \
    int fd = real(__VA_ARGS__, flags, mode);                                                       \
    opened(fd, flags, new);                                                                        \
    pthread_mutex_unlock(&turn);                                                                   \
    return fd

int open(const char *path, int flags, ...) { OPEN(open, path); }
int open64(const char *path, int flags, ...) { OPEN(open64, path); }
int openat(int dir, const char *path, int flags, ...) { OPEN(openat, dir, path); }
int openat64(int dir, const char *path, int flags, ...) { OPEN(openat64, dir, path); }

#define WRITE(name, offset, ...)                                                                   \
    REAL(name);                                                                                    \
    char path[4096];                                                                               \
    if (!path_of(fd, path)) return real(__VA_ARGS__);                                              \
    pthread_mutex_lock(&turn);                                                                     \
    off_t at = (offset);                                                                           \
    ssize_t done = real(__VA_ARGS__);                                                              \
    if (done > 0) note("write", path, "", at, data, (size_t)done);                                 \
    pthread_mutex_unlock(&turn);                                                                   \
    return done

ssize_t write(int fd, const void *data, size_t size) {
    WRITE(write, lseek(fd, 0, SEEK_CUR), fd, data, size);
}
ssize_t pwrite(int fd, const void *data, size_t size, off_t from) {
    WRITE(pwrite, from, fd, data, size, from);
}
ssize_t pwrite64(int fd, const void *data, size_t size, off64_t from) {
    WRITE(pwrite64, from, fd, data, size, from);
}

#define ON_FILE(op, name, offset, ...)                                                             \
    REAL(name);                                                                                    \
    char path[4096];                                                                               \
    if (!path_of(fd, path)) return real(__VA_ARGS__);                                              \
    pthread_mutex_lock(&turn);                                                                     \
    int done = real(__VA_ARGS__);                                                                  \
    if (!done) note(op, path, "", offset, NULL, 0);                                                \
    pthread_mutex_unlock(&turn);                                                                   \
    return done

int ftruncate(int fd, off_t size) { ON_FILE("truncate", ftruncate, size, fd, size); }
int ftruncate64(int fd, off64_t size) { ON_FILE("truncate", ftruncate64, size, fd, size); }
int fsync(int fd) { ON_FILE("sync", fsync, 0, fd); }
int fdatasync(int fd) { ON_FILE("sync", fdatasync, 0, fd); }

#define ON_NAME(op, name, first, second, ...)                                                      \
    REAL(name);                                                                                    \
    pthread_mutex_lock(&turn);                                                                     \
    int done = real(__VA_ARGS__);                                                                  \
    if (!done && (ours(first) || ours(second))) note(op, first, second, 0, NULL, 0);               \
    pthread_mutex_unlock(&turn);                                                                   \
    return done

int rename(const char *from, const char *to) { ON_NAME("rename", rename, from, to, from, to); }
int link(const char *from, const char *to) { ON_NAME("link", link, from, to, from, to); }
int unlink(const char *path) { ON_NAME("unlink", unlink, path, "", path); }

/* Path of a name in a folder that is held open. */
static void place(int dir, const char *name, char *path) {
    char folder[4096];
    path[0] = 0;
    if (name[0] == '/' || dir == AT_FDCWD) {
        snprintf(path, 4096, "%s", name);
        return;
    }
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", dir);
    ssize_t length = readlink(link, folder, sizeof folder - 1);
    folder[length > 0 ? length : 0] = 0;
    if (snprintf(path, 4096, "%s/%s", folder, name) >= 4096) abort();
}

#define AT_TWO(op, name, ...)                                                                      \
    char first[4096], second[4096];                                                                \
    place(from_dir, from, first);                                                                  \
    place(to_dir, to, second);                                                                     \
    ON_NAME(op, name, first, second, __VA_ARGS__)

int renameat(int from_dir, const char *from, int to_dir, const char *to) {
    AT_TWO("rename", renameat, from_dir, from, to_dir, to);
}
int renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags) {
    AT_TWO("rename", renameat2, from_dir, from, to_dir, to, flags);
}
int linkat(int from_dir, const char *from, int to_dir, const char *to, int flags) {
    AT_TWO("link", linkat, from_dir, from, to_dir, to, flags);
}
int unlinkat(int dir, const char *name, int flags) {
    char path[4096];
    place(dir, name, path);
    ON_NAME("unlink", unlinkat, path, "", dir, name, flags);
}

ssize_t send(int fd, const void *data, size_t size, int flags) {
    REAL(send);
    pthread_mutex_lock(&turn);
    if (log_fd >= 0) note("send", "", "", 0, data, size);
    pthread_mutex_unlock(&turn);
    return real(fd, data, size, flags);
}
