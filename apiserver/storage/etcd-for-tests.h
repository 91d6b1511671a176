/* A real etcd for tests: started on loopback ports of its own, with its data in a directory that goes
 * with it. */
#pragma once

#include "../../lib/base/base.h"

struct test_etcd {
        pid_t pid;
        unsigned port;
        unsigned quota; /* bytes that its database may have; 0: etcd's own number */
        char dir[64];
        char endpoint[64];
        char socket[96];   /* the same etcd, by its Unix socket */
};
/* False, with the reason printed, when there is no etcd to start. */
bool test_etcd_start(struct test_etcd *e);
void test_etcd_kill(struct test_etcd *e);    /* SIGKILL: as a crash */
void test_etcd_restart(struct test_etcd *e); /* on the same data */
void test_etcd_stop(struct test_etcd *e);    /* and removes the data */
