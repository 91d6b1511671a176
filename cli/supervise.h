/* The supervisor: starts the daemons, and starts again what dies.
 *
 * It runs in the background as `colibri supervise`. Daemons are sessions of their own and live on when
 * it ends; one that is started again adopts those that run. What dies is started again at once, then
 * after 0.2 s doubling to 10 s; a daemon that ran for 30 s begins anew.
 */
#pragma once

#include <signal.h>

#include "cluster.h"

/* Tells a supervisor to stop its daemons, last first, and then itself. SIGTERM ends it alone. */
#define SUPERVISE_STOP_ALL SIGUSR1

/* Runs until SIGTERM. -EALREADY: another one runs. */
int supervise(struct cluster *c, struct error *reterr);
/* Starts `colibri supervise` in the background; 0 when it runs already. */
int supervise_in_background(struct cluster *c, struct error *reterr);
