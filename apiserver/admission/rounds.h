/* Webhooks and policies that mutate are asked a second time when the object changed after them, if they ask for that. */
#pragma once

#include "admission.h"

/* What is known between two rounds of mutation of those that ask to be called again. */
struct rounds {
        struct json *called; /* uids: may be called again, and have been called since the last change */
        struct json *again;  /* uids: to be called again */
        uint64_t left;       /* a hash of the object as they left it */
};
/* *SLOT, made when it is not there yet. Whoever is in it and saw another object is called again. */
struct rounds *rounds_begin(struct admission_attributes *at, struct rounds **slot);
/* Whether UID is about to be asked in this round. */
bool rounds_due(const struct admission_attributes *at, const struct rounds *rounds, const char *uid);
/* The object is another now: whoever has judged the old one and asked for that is called again. */
void rounds_changed(struct admission_attributes *at, struct rounds *rounds);
void rounds_end(struct admission_attributes *at, struct rounds *rounds);
