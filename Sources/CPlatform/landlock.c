#define _GNU_SOURCE
#include "include/walls.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

// From linux/landlock.h of Linux 6.15 (version 7); the headers of the machine that builds may be older.
#define CREATE_RULESET 444
#define ADD_RULE 445
#define RESTRICT_SELF 446
#define ASK_VERSION 1u

enum {
    EXECUTE = 1 << 0,
    WRITE_FILE = 1 << 1,
    READ_FILE = 1 << 2,
    READ_DIR = 1 << 3,
    MAKE_CHAR = 1 << 6,
    MAKE_BLOCK = 1 << 11,
    TRUNCATE = 1 << 14,
    IOCTL_DEV = 1 << 15,
    // What a rule for a file, not a folder, may have.
    FOR_FILES = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV,
};
enum { BIND_TCP = 1 << 0, CONNECT_TCP = 1 << 1 };
enum { ABSTRACT_SOCKETS = 1 << 0, SIGNALS = 1 << 1 };
enum { RULE_PATH = 1, RULE_PORT = 2 };

struct ruleset {
    uint64_t files;
    uint64_t network;
    uint64_t scoped;
};

struct path_rule {
    uint64_t allowed;
    int32_t parent;
} __attribute__((packed));

struct port_rule {
    uint64_t allowed;
    uint64_t port;
};

// The rights on files that a version knows: 13, then refer, truncate, ioctl on devices.
static uint64_t known(int abi) {
    if (abi >= 5) return (1 << 16) - 1;
    if (abi >= 3) return (1 << 15) - 1;
    return abi == 2 ? (1 << 14) - 1 : (1 << 13) - 1;
}

int berth_landlock_abi(void) {
    long version = syscall(CREATE_RULESET, NULL, 0, ASK_VERSION);
    return version < 0 ? -errno : (int)version;
}

int berth_landlock_begin(int abi) {
    struct ruleset rules = {.files = known(abi)};
    if (abi >= 4) rules.network = BIND_TCP | CONNECT_TCP;
    if (abi >= 6) rules.scoped = ABSTRACT_SOCKETS | SIGNALS;
    size_t size = abi >= 6 ? 24 : abi >= 4 ? 16 : 8;
    long fd = syscall(CREATE_RULESET, &rules, size, 0);
    return fd < 0 ? -errno : (int)fd;
}

int berth_landlock_allow_path(int rules, int abi, const char *path, berth_landlock_access access) {
    int fd = open(path, O_PATH | O_CLOEXEC);
    if (fd < 0) return -errno;
    uint64_t allowed = EXECUTE | READ_FILE | READ_DIR;
    if (access == BERTH_LANDLOCK_WRITE) allowed = known(abi) & ~(uint64_t)(MAKE_CHAR | MAKE_BLOCK | IOCTL_DEV);
    if (access == BERTH_LANDLOCK_USE) allowed = READ_FILE | READ_DIR | WRITE_FILE | TRUNCATE;
    struct stat status;
    int error = fstat(fd, &status) < 0 ? -errno : 0;
    if (!error) {
        if (!S_ISDIR(status.st_mode)) allowed &= FOR_FILES;
        struct path_rule rule = {.allowed = allowed & known(abi), .parent = fd};
        if (syscall(ADD_RULE, rules, RULE_PATH, &rule, 0) < 0) error = -errno;
    }
    close(fd);
    return error;
}

int berth_landlock_allow_port(int rules, int abi, int port) {
    if (abi < 4) return 0;
    struct port_rule rule = {.allowed = BIND_TCP, .port = (uint64_t)port};
    return syscall(ADD_RULE, rules, RULE_PORT, &rule, 0) < 0 ? -errno : 0;
}

int berth_landlock_enforce(int rules) { return syscall(RESTRICT_SELF, rules, 0) < 0 ? -errno : 0; }
