#define _GNU_SOURCE
#include "include/agent.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

// Descriptors that the walk may hold; deeper folders are reopened.
#define WALK_DESCRIPTORS 16

int berth_open_folder(const char *path) {
    int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

int berth_open_read(const char *path) {
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    return fd < 0 ? -errno : fd;
}

int berth_open_write(const char *path, mode_t mode, int *created) {
    *created = 1;
    // O_NONBLOCK: a fifo without a reader must not hold up the agent.
    int flags = O_WRONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
    int fd = open(path, flags | O_CREAT | O_EXCL, mode);
    if (fd < 0 && errno == EEXIST) {
        *created = 0;
        // O_CREAT again: the path may be a link to a file that does not exist.
        fd = open(path, flags | O_CREAT, mode);
    }
    if (fd < 0) return -errno;
    struct stat status;
    int error = 0;
    if (fstat(fd, &status) < 0) error = -errno;
    else if (!S_ISREG(status.st_mode)) error = -EINVAL;
    else if (!*created && ftruncate(fd, 0) < 0) error = -errno;
    if (error) {
        close(fd);
        return error;
    }
    return fd;
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *place) {
    (void)status;
    (void)kind;
    (void)place;
    return remove(path) < 0 && errno != ENOENT ? errno : 0;
}

int berth_remove_tree(const char *path) {
    struct stat status;
    if (lstat(path, &status) < 0) return errno == ENOENT || errno == ENOTDIR ? 0 : -errno;
    if (!S_ISDIR(status.st_mode)) return unlink(path) < 0 && errno != ENOENT ? -errno : 0;
    int result = nftw(path, remove_one, WALK_DESCRIPTORS, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
    return result < 0 ? (errno == ENOENT ? 0 : -errno) : -result;
}
