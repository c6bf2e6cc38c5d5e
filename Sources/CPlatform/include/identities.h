#ifndef BERTH_IDENTITIES_H
#define BERTH_IDENTITIES_H

#include "groups.h"

#include <stdint.h>
#include <sys/types.h>

// Everything here answers 0 (or a descriptor) on success and a negative errno on failure. It uses no name service, no
// locale and no dlopen, so that it works in a static executable.

/// A process that does nothing but keep a new user namespace alive until it is kept otherwise.
typedef struct {
    pid_t pid;
    int pipe;
    void *stack;
} berth_namespace_holder;

/// Makes a user namespace without ids; `pid` is whose `uid_map` and `gid_map` have to be written.
int berth_namespace_begin(berth_namespace_holder *holder);

/// Ends the holder; answers a descriptor of its namespace, closed on exec.
int berth_namespace_finish(berth_namespace_holder *holder);

/// What a launcher finds and makes before it runs, as root of a user namespace with ids of its own.
///
/// The ids own nothing of the host, and folders of the host's user are closed to them. So everything that is needed is
/// opened as the host's user first, and shown in `stage` then, numbered in its order.
typedef struct {
    /// The namespace; its ids are 0 to 65535.
    int user_namespace;
    /// The sandbox's folder, into which others may write while it is staged.
    const char *folder;
    /// Who owns what is made, as numbered inside.
    uid_t user;
    gid_t group;
    /// What is made in the folder, parents first, up to NULL; a name that ends in a slash is a folder.
    const char *const *made;
    /// What is shown, up to NULL: absolute paths, or what was made in the folder.
    const char *const *sources;
    /// The folder that is covered by what is shown, in the launcher's own view of the file system.
    const char *stage;
    /// What failed, in the words of the step; empty when it was something else.
    char failure[256];
} berth_staging;

/// The most paths that are shown.
#define BERTH_STAGING_LIMIT 320

/// `berth_spawn_inside` for a launcher that is staged. `groups` may have none.
int berth_spawn_staged(pid_t *pid, const char *path, char *const argv[], char *const envp[],
                       const berth_fd_mapping *fds, int count, const berth_groups *groups, berth_staging *staging);

/// Who a process in a sandbox is, as numbered inside.
typedef struct {
    uid_t user;
    gid_t group;
    /// The capabilities that it has and can have, a bit for each.
    uint64_t capabilities;
} berth_account;

/// Starts a program as somebody else, in a session of its own; for a process of one thread that is root.
///
/// With the path of a terminal, that is all it has open, and `fds` are none; the empty path is its standard input.
/// The working directory is `cwd`, or else the descriptor `folder`, looked at as the new user.
int berth_spawn_as(pid_t *pid, const char *path, char *const argv[], char *const envp[], const char *cwd, int folder,
                   const berth_fd_mapping *fds, int count, const char *terminal, const berth_account *account);

/// Gives up, for good, every capability but these, and makes this process invisible to everyone without a right to
/// trace.
int berth_capabilities_keep(uint64_t capabilities);

/// From now on files are opened and made as somebody else; answers who it was before.
uid_t berth_act_as(uid_t user, gid_t group);

/// Listens on a unix socket without a file, its name after the zero byte; non-blocking.
int berth_abstract_listen(const char *name, int backlog);

/// Connects to such a socket; blocking.
int berth_abstract_connect(const char *name);

/// Who made the connection: its process and user at that time.
int berth_peer(int socket, pid_t *pid, uid_t *user);

/// Reads at most `length` bytes and at most `limit` descriptors, closed on exec; further ones are closed.
///
/// Answers the bytes; 0 is the end.
ssize_t berth_receive_with_descriptors(int socket, void *bytes, size_t length, int *descriptors, int limit, int *count);

/// Sends all bytes with descriptors beside the first one; blocking.
int berth_send_with_descriptors(int socket, const void *bytes, size_t length, const int *descriptors, int count);

#endif
