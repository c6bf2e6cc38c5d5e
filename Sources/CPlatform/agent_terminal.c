#define _GNU_SOURCE
#include "include/agent.h"
#include "spawn_attributes.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

int berth_terminal_resize(int fd, int columns, int rows) {
    struct winsize size = {.ws_col = (unsigned short)columns, .ws_row = (unsigned short)rows};
    return ioctl(fd, TIOCSWINSZ, &size) < 0 ? -errno : 0;
}

int berth_terminal_size(int fd, int *columns, int *rows) {
    struct winsize size;
    if (ioctl(fd, TIOCGWINSZ, &size) < 0) return -errno;
    *columns = size.ws_col;
    *rows = size.ws_row;
    return 0;
}

int berth_terminal_open(int columns, int rows, char *path, size_t length) {
    int fd = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return -errno;
    int unlock = 0, error = 0;
    unsigned number = 0;
    struct termios modes;
    if (ioctl(fd, TIOCSPTLCK, &unlock) < 0 || ioctl(fd, TIOCGPTN, &number) < 0) error = -errno;
    if (!error) error = berth_terminal_resize(fd, columns, rows);
    // So that erasing a character erases all of its bytes.
    if (!error && tcgetattr(fd, &modes) == 0) {
        modes.c_iflag |= IUTF8;
        tcsetattr(fd, TCSANOW, &modes);
    }
    if (!error && snprintf(path, length, "/dev/pts/%u", number) >= (int)length) error = -ENAMETOOLONG;
    if (error) close(fd);
    return error ? error : fd;
}

int berth_fd_copy(int fd) {
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    return copy < 0 ? -errno : copy;
}

int berth_terminal_spawn(pid_t *pid, const char *path, char *const argv[], char *const envp[], const char *cwd,
                         const char *terminal) {
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int error = berth_spawn_prepare(&actions, &attributes, POSIX_SPAWN_SETSID);
    if (error) return -error;
    STEP(posix_spawn_file_actions_addchdir_np(&actions, cwd));
    // The first terminal that the leader of a new session opens becomes the session's (tty_ioctl(4)).
    STEP(posix_spawn_file_actions_addopen(&actions, 0, terminal, O_RDWR, 0));
    STEP(posix_spawn_file_actions_adddup2(&actions, 0, 1));
    STEP(posix_spawn_file_actions_adddup2(&actions, 0, 2));
    STEP(posix_spawn_file_actions_addclosefrom_np(&actions, 3));
    STEP(posix_spawn(pid, path, &actions, &attributes, argv, envp));
out:
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return -error;
}
