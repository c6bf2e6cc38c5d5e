#ifndef BERTH_INSIDE_H
#define BERTH_INSIDE_H

#include "include/identities.h"

/// Does what is asked, in a child that shares its parent's memory: 0 or an errno.
int berth_stage(berth_staging *staging);

/// Takes every capability but these out of reach of this process and of what it starts: 0 or an errno.
int berth_capabilities_bound(uint64_t capabilities);

/// Makes these the capabilities of this process: 0 or an errno.
int berth_capabilities_set(uint64_t capabilities);

#endif
