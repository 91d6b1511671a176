/* When the claim to be the only writer is made, trusted and given back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "sole.h"

#define S NS_PER_SEC

static void reads(struct sole *s, unsigned n, int64_t now)
{
        while (n--)
                sole_read(s, now);
}

/* Many reads in a second: a claim, granted at revision 10, asked for at 100 s. */
static struct sole ours(void)
{
        struct sole s = { 0 };

        reads(&s, SOLE_READS, 100 * S);
        assert_int_equal(sole_next(&s, 100 * S), SOLE_CLAIM);
        sole_granted(&s, 10, 10, 100 * S, 100 * S + 5 * NS_PER_MS);
        assert_int_equal(s.fence, 10);
        return s;
}

static void few_reads_are_not_worth_it(void **state)
{
        struct sole s = { 0 };

        for (int64_t t = 0; t < 100 * S; t += S / 5)
                assert_false(sole_read(&s, t));
        assert_int_equal(sole_next(&s, 100 * S), SOLE_REST);
}

static void trusted_until_before_the_lease_ends(void **state)
{
        struct sole s = ours();

        assert_true(sole_read(&s, 101 * S));
        assert_true(sole_read(&s, 105 * S - 1));
        assert_false(sole_read(&s, 105 * S)); /* of a lease that cannot end before 106 s */
        assert_false(sole_read(&s, 1000 * S)); /* it was stopped meanwhile */
}

static void renewed_while_there_are_reads(void **state)
{
        struct sole s = ours();

        reads(&s, SOLE_READS, 101 * S);
        assert_int_equal(sole_next(&s, 102 * S), SOLE_WAIT);
        assert_int_equal(sole_next(&s, 104 * S), SOLE_RENEW_NOW);
        /* The answer took its time: what counts is when the lease was asked for. */
        sole_granted(&s, 10, 30, 104 * S, 107 * S);
        assert_true(sole_read(&s, 109 * S - 1));
        assert_false(sole_read(&s, 109 * S));
        assert_int_equal(s.fence, 10);
}

static void given_back_when_idle(void **state)
{
        struct sole s = ours();

        assert_int_equal(sole_next(&s, 104 * S), SOLE_LEAVE);
        sole_left(&s, 104 * S);
        assert_false(sole_read(&s, 104 * S));
        assert_int_equal(s.fence, 10); /* writes that overtake the deletion */
        sole_learn(&s, SOLE_NOBODY, 0, 40);
        assert_int_equal(s.fence, 0);
        assert_int_equal(sole_next(&s, 104 * S), SOLE_REST);
}

static void another_wants_to_write(void **state)
{
        struct sole s = ours();

        sole_learn_shared(&s, true);
        assert_false(sole_read(&s, 101 * S));
        assert_int_equal(sole_next(&s, 101 * S), SOLE_LEAVE);
        sole_left(&s, 101 * S);
        sole_learn(&s, SOLE_NOBODY, 0, 41);
        reads(&s, 1000, 101 * S);
        assert_int_equal(sole_next(&s, 101 * S), SOLE_REST);
        sole_learn_shared(&s, false);
        assert_int_equal(sole_next(&s, 101 * S), SOLE_CLAIM);
        /* It comes again while the claim is on its way. */
        sole_learn_shared(&s, true);
        sole_granted(&s, 50, 50, 101 * S, 101 * S);
        assert_false(sole_read(&s, 101 * S));
        assert_int_equal(sole_next(&s, 101 * S), SOLE_LEAVE);
}

static void lost(void **state)
{
        struct sole s = ours();

        sole_learn(&s, SOLE_ANOTHER, 20, 20);
        assert_false(sole_read(&s, 101 * S));
        assert_int_equal(s.fence, 0);
        /* Old news, as the watch brings them behind an answer, change nothing. */
        sole_learn(&s, SOLE_US, 10, 10);
        assert_int_equal(s.state, SOLE_NONE);
        reads(&s, 1000, 103 * S);
        assert_int_equal(sole_next(&s, 103 * S), SOLE_CLAIM);
        sole_refused(&s, 103 * S);
        reads(&s, 1000, 104 * S);
        assert_int_equal(sole_next(&s, 104 * S), SOLE_REST); /* not at once again */
}

static void a_claim_whose_answer_was_lost(void **state)
{
        struct sole s = { 0 };

        reads(&s, SOLE_READS, 100 * S);
        sole_refused(&s, 100 * S);
        sole_learn(&s, SOLE_US, 15, 15);
        assert_int_equal(s.fence, 15);
        assert_false(sole_read(&s, 100 * S)); /* nobody knows when its lease began */
        assert_int_equal(sole_next(&s, 100 * S), SOLE_LEAVE);
        reads(&s, SOLE_READS, 100 * S);
        assert_int_equal(sole_next(&s, 100 * S), SOLE_RENEW_NOW);
}

static void a_broken_connection(void **state)
{
        struct sole s = ours();

        reads(&s, SOLE_READS, 100 * S);
        sole_doubt(&s);
        assert_false(sole_read(&s, 101 * S));
        assert_int_equal(sole_next(&s, 101 * S), SOLE_RENEW_NOW);
        sole_forget(&s);
        assert_int_equal(s.fence, 0);
        assert_false(sole_read(&s, 101 * S));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(few_reads_are_not_worth_it), cmocka_unit_test(trusted_until_before_the_lease_ends),
                cmocka_unit_test(renewed_while_there_are_reads), cmocka_unit_test(given_back_when_idle),
                cmocka_unit_test(another_wants_to_write), cmocka_unit_test(lost),
                cmocka_unit_test(a_claim_whose_answer_was_lost), cmocka_unit_test(a_broken_connection),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
