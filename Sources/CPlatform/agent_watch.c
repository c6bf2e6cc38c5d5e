#define _GNU_SOURCE
#include "include/agent.h"

#include <errno.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/vfs.h>
#include <sys/xattr.h>

int berth_watch_open(void) {
    int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

int berth_watch_add(int fd, const char *path) {
    uint32_t mask = IN_CREATE | IN_DELETE | IN_MODIFY | IN_ATTRIB | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE_SELF |
                    IN_MOVE_SELF | IN_ONLYDIR | IN_DONT_FOLLOW;
    int number = inotify_add_watch(fd, path, mask);
    return number < 0 ? -errno : number;
}

void berth_watch_remove(int fd, int number) { inotify_rm_watch(fd, number); }

static int kind(uint32_t mask) {
    if (mask & IN_Q_OVERFLOW) return BERTH_WATCH_LOST;
    if (mask & IN_IGNORED) return BERTH_WATCH_FORGOTTEN;
    if (mask & IN_CREATE) return BERTH_WATCH_CREATED;
    if (mask & IN_MOVED_TO) return BERTH_WATCH_ARRIVED;
    if (mask & (IN_DELETE | IN_DELETE_SELF)) return BERTH_WATCH_REMOVED;
    if (mask & (IN_MOVED_FROM | IN_MOVE_SELF)) return BERTH_WATCH_LEFT;
    if (mask & IN_MODIFY) return BERTH_WATCH_WRITTEN;
    if (mask & IN_ATTRIB) return BERTH_WATCH_CHANGED;
    return BERTH_WATCH_OTHER;
}

size_t berth_watch_parse(const void *bytes, size_t length, berth_watch_event *event) {
    struct inotify_event head;
    if (length < sizeof head) return 0;
    memcpy(&head, bytes, sizeof head);
    if (length - sizeof head < head.len) return 0;
    event->number = head.wd;
    event->kind = kind(head.mask);
    event->is_folder = (head.mask & IN_ISDIR) != 0;
    event->name = head.len > 0 ? (const char *)bytes + sizeof head : "";
    return sizeof head + head.len;
}

int berth_is_network_mount(const char *path) {
    struct statfs status;
    if (statfs(path, &status) < 0) return -errno;
    switch ((unsigned long)status.f_type & 0xFFFFFFFFul) {
    case 0x6969:     // NFS
    case 0xFF534D42: // CIFS
    case 0xFE534D42: // SMB2
    case 0x517B:     // SMB
    case 0x65735546: // FUSE
    case 0x01021997: // 9P
    case 0x00C36400: // Ceph
    case 0x5346414F: // AFS
    case 0x73757245: // Coda
        return 1;
    default: return 0;
    }
}

ssize_t berth_attribute_list(int fd, const char *path, char *buffer, size_t length) {
    ssize_t count = fd >= 0 ? flistxattr(fd, buffer, length) : listxattr(path, buffer, length);
    return count < 0 ? -errno : count;
}

ssize_t berth_attribute_get(int fd, const char *path, const char *name, void *buffer, size_t length) {
    ssize_t count = fd >= 0 ? fgetxattr(fd, name, buffer, length) : getxattr(path, name, buffer, length);
    return count < 0 ? -errno : count;
}

int berth_attribute_set(int fd, const char *name, const void *value, size_t length) {
    return fsetxattr(fd, name, value, length, 0) < 0 ? -errno : 0;
}

int berth_attribute_remove(int fd, const char *name) { return fremovexattr(fd, name) < 0 ? -errno : 0; }
