/* When to claim, to trust and to leave: see sole.h. */
#include "sole.h"

bool sole_read(struct sole *s, int64_t now)
{
        if (s->state == SOLE_NONE && now - s->window > NS_PER_SEC) {
                s->window = now;
                s->reads = 0;
        }
        s->reads++;
        return s->state == SOLE_OURS && now < s->until;
}

enum sole_step sole_next(const struct sole *s, int64_t now)
{
        if (s->state == SOLE_NONE)
                return s->reads >= SOLE_READS && !s->shared && now >= s->claim_after ? SOLE_CLAIM : SOLE_REST;
        if (s->shared)
                return SOLE_LEAVE;
        if (now < s->renew_at)
                return SOLE_WAIT;
        return s->reads >= SOLE_READS ? SOLE_RENEW_NOW : SOLE_LEAVE;
}

void sole_granted(struct sole *s, uint64_t created, uint64_t revision, int64_t sent, int64_t now)
{
        s->state = SOLE_OURS;
        s->fence = created;
        s->seen = MAX(s->seen, revision);
        /* "shared" may have come while the answer was on its way. */
        s->until = s->shared ? 0 : sent + SOLE_TTL_S * NS_PER_SEC - SOLE_MARGIN;
        s->renew_at = now + SOLE_RENEW;
        s->reads = 0;
}

void sole_refused(struct sole *s, int64_t now)
{
        s->renew_at = now + NS_PER_SEC;
        s->claim_after = now + SOLE_AGAIN;
        s->window = now;
        if (s->state == SOLE_NONE)
                s->reads = 0;
}

void sole_left(struct sole *s, int64_t now)
{
        s->state = SOLE_NONE;
        s->until = 0;
        s->reads = 0;
        s->window = now;
        /* The fence stays until the deletion is known: writes that etcd gets before it need it. */
}

void sole_learn(struct sole *s, enum sole_holder holder, uint64_t created, uint64_t revision)
{
        if (revision <= s->seen)
                return;
        s->seen = revision;
        if (holder == SOLE_US) {
                /* Made by a request whose answer was lost, or older than our memory: no lease of it is known. */
                if (s->state == SOLE_NONE || s->fence != created)
                        s->until = s->renew_at = 0;
                s->state = SOLE_OURS;
                s->fence = created;
                return;
        }
        s->state = SOLE_NONE;
        s->fence = 0;
        s->until = 0;
}

void sole_learn_shared(struct sole *s, bool shared)
{
        s->shared = shared;
        if (shared)
                s->until = 0;
}

void sole_doubt(struct sole *s)
{
        s->until = s->renew_at = 0;
}

void sole_forget(struct sole *s)
{
        sole_doubt(s);
        s->state = SOLE_NONE;
        s->fence = s->seen = 0;
        s->shared = false;
}
