#pragma once
#include <signal.h>
#include <spawn.h>

// A posix_spawn step: 0 or an errno that ends the preparation.
#define STEP(call)                                                                                                     \
    do {                                                                                                               \
        if ((error = (call)) != 0) goto out;                                                                           \
    } while (0)

// Makes both descriptions of a child: nothing of our handling of signals, and `flags` beside it; 0 or an errno, and then
// nothing is to be destroyed.
static inline int berth_spawn_prepare(posix_spawn_file_actions_t *actions, posix_spawnattr_t *attributes, short flags) {
    int error = posix_spawn_file_actions_init(actions);
    if (error) return error;
    if ((error = posix_spawnattr_init(attributes)) != 0) {
        posix_spawn_file_actions_destroy(actions);
        return error;
    }
    sigset_t all, none;
    sigfillset(&all);
    sigemptyset(&none);
    STEP(posix_spawnattr_setsigdefault(attributes, &all));
    STEP(posix_spawnattr_setsigmask(attributes, &none));
    STEP(posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK | flags));
    return 0;
out:
    posix_spawnattr_destroy(attributes);
    posix_spawn_file_actions_destroy(actions);
    return error;
}
