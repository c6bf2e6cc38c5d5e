#define _GNU_SOURCE
#include "include/identities.h"
#include "inside.h"

#include <errno.h>
#include <linux/capability.h>
#include <stddef.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

// More than any kernel has; the loop ends at the first unknown one.
#define CAPABILITY_LIMIT 64
// The most descriptors of one message (SCM_MAX_FD), so that none is lost unseen.
#define MESSAGE_LIMIT 253

int berth_capabilities_bound(uint64_t capabilities) {
    for (int capability = 0; capability < CAPABILITY_LIMIT; capability++) {
        if (capabilities >> capability & 1) continue;
        if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0) continue;
        if (errno == EINVAL) break;
        return errno;
    }
    return prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 ? errno : 0;
}

int berth_capabilities_set(uint64_t capabilities) {
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
    memset(data, 0, sizeof data);
    for (int i = 0; i < _LINUX_CAPABILITY_U32S_3; i++)
        data[i].permitted = data[i].effective = (uint32_t)(capabilities >> (32 * i));
    return syscall(SYS_capset, &header, data) < 0 ? errno : 0;
}

int berth_capabilities_keep(uint64_t capabilities) {
    int error = berth_capabilities_bound(capabilities);
    if (!error) error = berth_capabilities_set(capabilities);
    if (!error && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0) error = errno;
    return -error;
}

uid_t berth_act_as(uid_t user, gid_t group) {
    // Taking root again brings back the capabilities over files that giving it up took (capabilities(7)).
    setfsgid(group);
    return (uid_t)setfsuid(user);
}

static socklen_t abstract(const char *name, struct sockaddr_un *address) {
    size_t length = strlen(name);
    if (length + 1 > sizeof address->sun_path) return 0;
    memset(address, 0, sizeof *address);
    address->sun_family = AF_UNIX;
    memcpy(address->sun_path + 1, name, length);
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + length);
}

static int with_socket(const char *name, int flags, int (*step)(int, const struct sockaddr *, socklen_t), int backlog) {
    struct sockaddr_un address;
    socklen_t size = abstract(name, &address);
    if (size == 0) return -ENAMETOOLONG;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
    if (fd < 0) return -errno;
    if (step(fd, (struct sockaddr *)&address, size) < 0 || (backlog > 0 && listen(fd, backlog) < 0)) {
        int error = errno;
        close(fd);
        return -error;
    }
    return fd;
}

int berth_abstract_listen(const char *name, int backlog) { return with_socket(name, SOCK_NONBLOCK, bind, backlog); }

int berth_abstract_connect(const char *name) { return with_socket(name, 0, connect, 0); }

int berth_peer(int socket, pid_t *pid, uid_t *user) {
    struct ucred peer;
    socklen_t size = sizeof peer;
    if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0) return -errno;
    *pid = peer.pid;
    *user = peer.uid;
    return 0;
}

ssize_t berth_receive_with_descriptors(int socket, void *bytes, size_t length, int *descriptors, int limit, int *count) {
    struct iovec part = {.iov_base = bytes, .iov_len = length};
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(MESSAGE_LIMIT * sizeof(int))];
    } control;
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.space, .msg_controllen = sizeof control.space};
    *count = 0;
    ssize_t received;
    do received = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
    while (received < 0 && errno == EINTR);
    if (received < 0) return -errno;
    for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header; header = CMSG_NXTHDR(&message, header)) {
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
        size_t passed = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < passed; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(header) + i * sizeof(int), sizeof fd);
            if (*count < limit) descriptors[(*count)++] = fd;
            else close(fd);
        }
    }
    return received;
}

int berth_send_with_descriptors(int socket, const void *bytes, size_t length, const int *descriptors, int count) {
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(8 * sizeof(int))];
    } control;
    if (count < 0 || count > 8 || length == 0) return -EINVAL;
    size_t sent = 0;
    while (sent < length) {
        struct iovec part = {.iov_base = (char *)bytes + sent, .iov_len = length - sent};
        struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
        if (sent == 0 && count > 0) {
            memset(&control, 0, sizeof control);
            message.msg_control = control.space;
            message.msg_controllen = CMSG_SPACE((size_t)count * sizeof(int));
            struct cmsghdr *header = CMSG_FIRSTHDR(&message);
            header->cmsg_level = SOL_SOCKET;
            header->cmsg_type = SCM_RIGHTS;
            header->cmsg_len = CMSG_LEN((size_t)count * sizeof(int));
            memcpy(CMSG_DATA(header), descriptors, (size_t)count * sizeof(int));
        }
        ssize_t result = sendmsg(socket, &message, MSG_NOSIGNAL);
        if (result < 0) {
            if (errno == EINTR) continue;
            return -errno;
        }
        sent += (size_t)result;
    }
    return 0;
}
