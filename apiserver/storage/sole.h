/* Reads without asking etcd, while one API server is the only one that can write.
 *
 * A linearizable read has to see every write acknowledged before it came, whoever made it. Who alone can
 * write knows all such writes, and need not ask etcd for its revision, which is most of what a GET costs.
 *
 * The claim to be the only writer is a key in etcd, under a lease. It is no agreement among API servers
 * that one of them might break: every write of every API server is a transaction that also compares the
 * claim's create revision (the *fence*) with the claim that the writer holds, or with 0. etcd itself lets no
 * write past a claim of another's.
 *
 *      NONE --CLAIM--> OURS --RENEW, every 3 s--> OURS --LEAVE--> NONE
 *        many reads came         still many           few, or another wants to write
 *
 * An API server whose write is refused for another's claim puts the second key, "shared": who holds the claim
 * hears of it by the watch, stops to trust it, and only then deletes it. Who does not hear (stopped, cut
 * off) trusts it no longer than `until`, which lies before the moment when the lease can end: a lease
 * begins when etcd grants it, so after the grant was asked for. Hence the renewal puts the key under a fresh
 * lease instead of keeping the old one alive: a grant goes through etcd's log, which an old leader that was
 * cut off cannot write, while it may well answer a keepalive (etcd issue 15247). The clock is CLOCK_BOOTTIME,
 * which counts while the machine sleeps. "shared" goes by itself after five minutes, and may come again.
 *
 * An idle API server holds no claim: it is made when reads come, and given back when they end.
 *
 * Here are the decisions, without I/O; store-sole.c carries them out.
 */
#pragma once

#include "../../lib/base/base.h"
#include "../../lib/base/time.h"

#define SOLE_TTL_S 6                      /* of the claim: how long the others wait for one who cannot hear */
#define SOLE_MARGIN (NS_PER_SEC)          /* before the lease's end, for clocks that run at different speeds */
#define SOLE_RENEW (3 * NS_PER_SEC)
#define SOLE_READS 16                     /* so many checks in a second are worth a claim; fewer between renewals are not */
#define SOLE_AGAIN (5 * NS_PER_SEC)       /* after a claim that was refused */
#define SOLE_SHARED_TTL_S 300

enum sole_state { SOLE_NONE, SOLE_OURS };
enum sole_holder { SOLE_NOBODY, SOLE_US, SOLE_ANOTHER };
enum sole_step {
        SOLE_REST,  /* nothing to do until something happens */
        SOLE_WAIT,  /* nothing until `renew_at` */
        SOLE_CLAIM, /* ask for the key, where neither it nor "shared" is there */
        SOLE_RENEW_NOW,
        SOLE_LEAVE, /* delete the key; it is trusted no more */
};

/* All times are CLOCK_BOOTTIME in ns. */
struct sole {
        enum sole_state state;
        uint64_t fence;   /* create revision of our claim, which writes compare; 0: none */
        uint64_t seen;    /* the revision of what we know about the claim */
        int64_t until;    /* the claim is trusted before this; 0: not at all */
        int64_t renew_at, claim_after;
        int64_t window;   /* where counting began */
        unsigned reads;
        bool shared;      /* the other key is there */
};

/* A read came: true when it may be answered from a cache that has all of our own writes. Counts it. */
bool sole_read(struct sole *s, int64_t now);
enum sole_step sole_next(const struct sole *s, int64_t now);
/* etcd said yes to a claim or renewal whose lease was asked for at SENT: CREATED is the key's create revision,
 * REVISION etcd's. */
void sole_granted(struct sole *s, uint64_t created, uint64_t revision, int64_t sent, int64_t now);
void sole_refused(struct sole *s, int64_t now); /* or no answer came */
void sole_left(struct sole *s, int64_t now);    /* before the key is deleted */
/* The watch, a load, or a refused write tells who held the claim at REVISION. Older news are ignored. */
void sole_learn(struct sole *s, enum sole_holder holder, uint64_t created, uint64_t revision);
void sole_learn_shared(struct sole *s, bool shared);
void sole_doubt(struct sole *s);  /* the connection broke: ask anew before trusting again */
void sole_forget(struct sole *s); /* the cache starts anew */
