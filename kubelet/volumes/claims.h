/* Claims of a pod, followed to their PersistentVolumes before anything is mounted, as upstream's volume manager does. */
#pragma once

#include "volumes.h"

/* *ret: an object in the arena with the PersistentVolume of each volume that names a claim, by the volume's name.
 * -EAGAIN with the text of the FailedMount event: a claim is not there, not bound, going, or may not be read; or its
 * volume is not there or another claim's. A claim that is not bound yet is waited for a moment first.
 * STARTED: the pod runs already, and keeps a claim that is being deleted. Parks. */
int claims_fetch(const struct volumes_fetch *fetch, const struct json *pod, bool started, struct arena *a,
                 struct json **ret, struct error *reterr);
