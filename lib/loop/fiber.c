/* Fibers on ucontext-like stack switching, written for x86-64 and aarch64 by a few instructions of
 * assembly each (ucontext's swap does two system calls a switch), with ucontext elsewhere.
 *
 * Stacks come from a small pool; a stack that went back to the pool keeps its first pages only.
 */
#include "fiber.h"

#include <errno.h>
#include <sys/mman.h>

#include "../base/time.h"

#if defined(__SANITIZE_ADDRESS__)
#define FIBER_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FIBER_ASAN 1
#endif
#endif
#ifdef FIBER_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

#ifdef FIBER_ASAN
#define STACK_SIZE ((size_t)4096 * 1024) /* ASan's frames are larger */
#else
#define STACK_SIZE ((size_t)1024 * 1024) /* room for JSON_MAX_DEPTH calls of a recursive walk; untouched pages cost nothing */
#endif
#define POOL_MAX 16
#define KEEP_RESIDENT ((size_t)16 * 1024) /* of a pooled stack */

struct fiber {
        struct loop *loop;
        fiber_fn *fn;
        void *userdata;
        char *stack;         /* mapping: a guard page, then the stack */
        void *sp;            /* where to go on */
        struct fiber *caller; /* NULL: the loop */
        bool parked, woken, queued, ended;
#ifdef FIBER_ASAN
        void *fake_stack;
#endif
};

static struct fiber *current;
static void *loop_sp; /* of the side that runs fibers */
static char *pool[POOL_MAX];
static size_t n_pool;
#ifdef FIBER_ASAN
static void *loop_fake_stack;
static const void *loop_stack;
static size_t loop_stack_size;
#endif

/* Saves the callee-saved registers and the stack pointer in *save, and goes on at TO. */
void fiber_switch(void **save, void *to);
void fiber_entry(void);
void fiber_main(void);

#if defined(__x86_64__)
__asm__(".text\n.globl fiber_switch\n.type fiber_switch,@function\n"
        "fiber_switch:\n"
        "  pushq %rbp\n  pushq %rbx\n  pushq %r12\n  pushq %r13\n  pushq %r14\n  pushq %r15\n"
        "  movq %rsp, (%rdi)\n"
        "  movq %rsi, %rsp\n"
        "  popq %r15\n  popq %r14\n  popq %r13\n  popq %r12\n  popq %rbx\n  popq %rbp\n"
        "  ret\n"
        ".size fiber_switch,.-fiber_switch\n"
        ".globl fiber_entry\n.type fiber_entry,@function\n"
        "fiber_entry:\n"
        "  xorl %ebp, %ebp\n"
        "  call fiber_main\n"
        "  ud2\n"
        ".size fiber_entry,.-fiber_entry\n");

static void *first_frame(char *top)
{
        void **sp = (void **)top;

        *--sp = NULL; /* two, so that the stack is aligned to 16 bytes where fiber_entry calls */
        *--sp = NULL;
        *--sp = (void *)fiber_entry;
        for (int i = 0; i < 6; i++)
                *--sp = NULL;
        return sp;
}
#elif defined(__aarch64__)
__asm__(".text\n.globl fiber_switch\n.type fiber_switch,%function\n"
        "fiber_switch:\n"
        "  sub sp, sp, #160\n"
        "  stp x19, x20, [sp, #0]\n  stp x21, x22, [sp, #16]\n  stp x23, x24, [sp, #32]\n"
        "  stp x25, x26, [sp, #48]\n  stp x27, x28, [sp, #64]\n  stp x29, x30, [sp, #80]\n"
        "  stp d8, d9, [sp, #96]\n  stp d10, d11, [sp, #112]\n"
        "  stp d12, d13, [sp, #128]\n  stp d14, d15, [sp, #144]\n"
        "  mov x9, sp\n  str x9, [x0]\n  mov sp, x1\n"
        "  ldp x19, x20, [sp, #0]\n  ldp x21, x22, [sp, #16]\n  ldp x23, x24, [sp, #32]\n"
        "  ldp x25, x26, [sp, #48]\n  ldp x27, x28, [sp, #64]\n  ldp x29, x30, [sp, #80]\n"
        "  ldp d8, d9, [sp, #96]\n  ldp d10, d11, [sp, #112]\n"
        "  ldp d12, d13, [sp, #128]\n  ldp d14, d15, [sp, #144]\n"
        "  add sp, sp, #160\n  ret\n"
        ".globl fiber_entry\n.type fiber_entry,%function\n"
        "fiber_entry:\n  mov x29, #0\n  bl fiber_main\n  brk #1\n");

static void *first_frame(char *top)
{
        void **sp = (void **)(top - 160);

        memset(sp, 0, 160);
        sp[11] = (void *)fiber_entry; /* x30 */
        return sp;
}
#else
#error "fiber_switch() is written for x86-64 and aarch64 only"
#endif

static char *stack_take(void)
{
        char *stack;

        if (n_pool)
                return pool[--n_pool];
        stack = mmap(NULL, STACK_SIZE + 4096, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
        if (stack == MAP_FAILED)
                abort();
        mprotect(stack, 4096, PROT_NONE);
        return stack;
}

static void stack_give(char *stack)
{
#ifdef FIBER_ASAN
        __asan_unpoison_memory_region(stack + 4096, STACK_SIZE);
#endif
        if (n_pool == POOL_MAX) {
                munmap(stack, STACK_SIZE + 4096);
                return;
        }
        pool[n_pool++] = stack;
}

/* A stack that a deep recursion has blown up gives its pages back; most never get there, and the
 * system call is saved: the page below the kept part is only touched by deep ones. */
static void stack_trim(char *stack)
{
        unsigned char resident = 0;
        char *probe = stack + 4096 + STACK_SIZE - KEEP_RESIDENT - 4096;

        if (mincore(probe, 4096, &resident) == 0 && resident & 1)
                madvise(stack + 4096, STACK_SIZE - KEEP_RESIDENT, MADV_DONTNEED);
}

struct fiber *fiber_self(void)
{
        return current;
}

static void leave(struct fiber *f)
{
        struct fiber *caller = f->caller;

        current = caller;
#ifdef FIBER_ASAN
        void **save = f->ended ? NULL : &f->fake_stack;

        if (caller)
                __sanitizer_start_switch_fiber(save, caller->stack + 4096, STACK_SIZE);
        else
                __sanitizer_start_switch_fiber(save, loop_stack, loop_stack_size);
#endif
        fiber_switch(&f->sp, caller ? caller->sp : loop_sp);
#ifdef FIBER_ASAN
        __sanitizer_finish_switch_fiber(f->fake_stack, f->caller ? NULL : &loop_stack,
                                        f->caller ? NULL : &loop_stack_size);
#endif
}

void fiber_main(void)
{
        struct fiber *f = current;

#ifdef FIBER_ASAN
        __sanitizer_finish_switch_fiber(NULL, f->caller ? NULL : &loop_stack,
                                        f->caller ? NULL : &loop_stack_size);
#endif
        f->fn(f->userdata);
        f->ended = true;
        leave(f);
        abort();
}

/* Runs F until it parks or ends. */
static void enter(struct fiber *f)
{
        struct fiber *caller = current;

        f->caller = caller;
        current = f;
#ifdef FIBER_ASAN
        __sanitizer_start_switch_fiber(caller ? &caller->fake_stack : &loop_fake_stack,
                                       f->stack + 4096, STACK_SIZE);
#endif
        fiber_switch(caller ? &caller->sp : &loop_sp, f->sp);
#ifdef FIBER_ASAN
        __sanitizer_finish_switch_fiber(caller ? caller->fake_stack : loop_fake_stack, NULL, NULL);
#endif
        current = caller;
        if (f->ended) {
                static unsigned ends;

                if (++ends % 64 == 0)
                        stack_trim(f->stack);
                stack_give(f->stack);
                free(f);
        }
}

void fiber_start(struct loop *loop, fiber_fn *fn, void *userdata)
{
        struct fiber *f = new0(struct fiber);

        f->loop = loop;
        f->fn = fn;
        f->userdata = userdata;
        f->stack = stack_take();
        f->sp = first_frame(f->stack + 4096 + STACK_SIZE);
        enter(f);
}

void fiber_park(void)
{
        struct fiber *f = current;

        if (!f)
                abort(); /* a call that parks, made outside a fiber */
        if (f->woken) {
                f->woken = false;
                return;
        }
        f->parked = true;
        leave(f);
        f->parked = false;
        f->woken = false;
}

static void resume(void *userdata)
{
        struct fiber *f = userdata;

        f->queued = false;
        if (f->parked)
                enter(f);
}

void fiber_wake(struct fiber *f)
{
        f->woken = true;
        if (f->parked && !f->queued) {
                f->queued = true;
                loop_defer(f->loop, resume, f);
        }
}

static void on_sleep_over(struct loop_timer *timer, void *userdata)
{
        bool *over = ((void **)userdata)[1];

        *over = true;
        fiber_wake(((void **)userdata)[0]);
}

void fiber_sleep(int64_t ns)
{
        bool over = false;
        void *both[] = { current, &over };
        struct loop_timer *timer = loop_timer_new(current->loop, on_sleep_over, both);

        loop_timer_arm(timer, ns);
        while (!over)
                fiber_park();
        loop_timer_free(timer);
}

struct fiber_job {
        loop_work_fn *fn;
        void *userdata;
        struct fiber *fiber;
        bool done;
};

static void run_job(void *userdata)
{
        struct fiber_job *job = userdata;

        job->fn(job->userdata);
}

static void job_done(void *userdata)
{
        struct fiber_job *job = userdata;

        job->done = true;
        fiber_wake(job->fiber);
}

void fiber_work(struct loop *loop, loop_work_fn *fn, void *userdata)
{
        struct fiber_job job = { fn, userdata, current, false };

        loop_work(loop, run_job, job_done, &job);
        while (!job.done)
                fiber_park();
}

struct whole_run {
        fiber_fn *fn;
        void *userdata;
        bool ended;
};

static void run_whole(void *userdata)
{
        struct whole_run *run = userdata;

        run->fn(run->userdata);
        run->ended = true;
}

void fiber_run(struct loop *loop, fiber_fn *fn, void *userdata)
{
        struct whole_run run = { fn, userdata, false };

        fiber_start(loop, run_whole, &run);
        while (!run.ended)
                loop_turn(loop, -1);
}

void fiber_mutex_lock(struct fiber_mutex *m)
{
        if (!m->owner) {
                m->owner = current;
                return;
        }
        array_reserve(m->waiters, m->cap, m->n + 1);
        m->waiters[m->n++] = current;
        while (m->owner != current)
                fiber_park();
}

void fiber_mutex_unlock(struct fiber_mutex *m)
{
        m->owner = NULL;
        if (!m->n) {
                free(m->waiters);
                *m = (struct fiber_mutex){ 0 };
                return;
        }
        m->owner = m->waiters[0];
        memmove(m->waiters, m->waiters + 1, --m->n * sizeof(*m->waiters));
        fiber_wake(m->owner);
}
