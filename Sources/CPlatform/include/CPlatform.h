// What Swift cannot import or must not do by itself: everything of this target.
#ifndef CPLATFORM_H
#define CPLATFORM_H

#include "agent.h"
// Not spawn.h, which would hide the system header of this name from everyone who searches this folder.
#include "berth_spawn.h"
#include "groups.h"
#include "identities.h"
#include "walls.h"

#endif
