#ifndef BERTH_SPAWN_TARGETS_H
#define BERTH_SPAWN_TARGETS_H

#include "include/berth_spawn.h"

/// Whether the targets are in range and without gaps: 0 or an errno.
int berth_spawn_check_targets(const berth_fd_mapping *fds, int count);

#endif
