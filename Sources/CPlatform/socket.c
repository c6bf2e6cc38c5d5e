#define _GNU_SOURCE
#include "include/agent.h"
#include "include/berth_spawn.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

// sockaddr_un holds 108 bytes; going through the folder's descriptor keeps the path short however deep it lies.
static int fill_address(struct sockaddr_un *address, int dirfd, const char *name) {
    memset(address, 0, sizeof *address);
    address->sun_family = AF_UNIX;
    int length = snprintf(address->sun_path, sizeof address->sun_path, "/proc/self/fd/%d/%s", dirfd, name);
    return length < 0 || (size_t)length >= sizeof address->sun_path ? -ENAMETOOLONG : 0;
}

int berth_unix_listen(int dirfd, const char *name, int backlog) {
    struct sockaddr_un address;
    int error = fill_address(&address, dirfd, name);
    if (error) return error;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return -errno;
    if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, backlog) < 0) {
        error = -errno;
        close(fd);
        return error;
    }
    return fd;
}

int berth_unix_connect(int dirfd, const char *name) {
    struct sockaddr_un address;
    int error = fill_address(&address, dirfd, name);
    if (error) return error;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return -errno;
    if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0) {
        error = -errno;
        close(fd);
        return error;
    }
    return fd;
}

static long long now_milliseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

static int wait_ready(int socket, short events, long long deadline) {
    for (;;) {
        long long left = deadline - now_milliseconds();
        if (left <= 0) return -ETIMEDOUT;
        struct pollfd entry = {.fd = socket, .events = events};
        int result = poll(&entry, 1, (int)left);
        if (result > 0) return 0;
        if (result < 0 && errno != EINTR) return -errno;
    }
}

// Takes the one descriptor out of a message; more than one, or a cut message, is a broken peer.
static int take_descriptor(struct msghdr *message, int *found) {
    int broken = (message->msg_flags & MSG_CTRUNC) != 0;
    for (struct cmsghdr *part = CMSG_FIRSTHDR(message); part; part = CMSG_NXTHDR(message, part)) {
        if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
        size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(part) + i * sizeof fd, sizeof fd);
            if (*found < 0) *found = fd;
            else {
                close(fd);
                broken = 1;
            }
        }
    }
    return broken ? -EPROTO : 0;
}

static int receive_answer(int socket, long long deadline, int wants_descriptor, int *refused) {
    unsigned char bytes[5];
    size_t have = 0;
    int found = -1, error = 0;
    while (have == 0 || (bytes[0] == '!' && have < sizeof bytes)) {
        if ((error = wait_ready(socket, POLLIN, deadline)) != 0) break;
        union {
            struct cmsghdr align;
            char space[CMSG_SPACE(4 * sizeof(int))];
        } control;
        struct iovec part = {.iov_base = bytes + have, .iov_len = have == 0 ? 1 : sizeof bytes - have};
        struct msghdr message = {
            .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.space, .msg_controllen = sizeof control.space};
        ssize_t count = recvmsg(socket, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
        if (count < 0 && (errno == EAGAIN || errno == EINTR)) continue;
        if (count <= 0) {
            error = count < 0 ? -errno : -ECONNRESET;
            break;
        }
        if ((error = take_descriptor(&message, &found)) != 0) break;
        have += (size_t)count;
    }
    if (!error && bytes[0] == 'F' && (found >= 0) == wants_descriptor) return wants_descriptor ? found : 0;
    if (found >= 0) close(found);
    if (error) return error;
    if (bytes[0] != '!' || found >= 0) return -EPROTO;
    uint32_t number;
    memcpy(&number, bytes + 1, sizeof number);
    *refused = (int)ntohl(number);
    return -EREMOTEIO;
}

static int send_request(int socket, const char *request, size_t length, long long deadline) {
    while (length > 0) {
        ssize_t count = send(socket, request, length, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (count >= 0) {
            request += count;
            length -= (size_t)count;
        } else if (errno == EAGAIN) {
            int error = wait_ready(socket, POLLOUT, deadline);
            if (error) return error;
        } else if (errno != EINTR) {
            return -errno;
        }
    }
    return 0;
}

int berth_request_descriptor(int socket, const char *request, size_t length, int milliseconds, int *refused) {
    long long deadline = now_milliseconds() + milliseconds;
    int error = send_request(socket, request, length, deadline);
    return error ? error : receive_answer(socket, deadline, 1, refused);
}

int berth_request_stream(int socket, const char *request, size_t length, int milliseconds, int *refused) {
    long long deadline = now_milliseconds() + milliseconds;
    int error = send_request(socket, request, length, deadline);
    return error ? error : receive_answer(socket, deadline, 0, refused);
}

static int finish_connect(int fd, long long deadline) {
    if (fd < 0) return fd;
    int error = wait_ready(fd, POLLOUT, deadline);
    if (!error) error = berth_connect_result(fd);
    if (!error) error = berth_fd_blocking(fd);
    if (!error) return fd;
    close(fd);
    return error;
}

int berth_loopback_connect(int port, int milliseconds) {
    long long deadline = now_milliseconds() + milliseconds;
    int fd = finish_connect(berth_tcp_connect_begin(port, 0), deadline);
    if (fd != -ECONNREFUSED) return fd;
    int other = finish_connect(berth_tcp_connect_begin(port, 1), deadline);
    return other < 0 ? fd : other;
}

int berth_free_port(void) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return -errno;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int result = bind(fd, (struct sockaddr *)&address, sizeof address) < 0
                         || getsockname(fd, (struct sockaddr *)&address, &size) < 0
                     ? -errno
                     : ntohs(address.sin_port);
    close(fd);
    return result;
}
