/* crannog-infer, the program, over its socket: each request has one answer in order, a cancelled one stops, what is wrong
   is said in one line, it ends with its socket, and it can neither open files nor make sockets. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/sys.h"
#include "infer/confine.h"
#include "infer/protocol.h"
#include "tiny_gguf.h"
#include "wire/peer.h"

enum { WAIT_MS = 60 * 1000 };

static struct peer start(void)
{
    static char name[] = "crannog-infer", lang[] = "LANG=C.UTF-8";
    char *argv[] = {name, NULL}, *env[] = {lang, NULL};
    struct peer p = PEER_INIT;
    struct error e;
    if (peer_start(INFER_PROGRAM, argv, env, NULL, 0, false, &p, &e))
        fail_msg("%s", e.text);
    return p;
}

static void ask(const struct peer *p, uint16_t type, uint64_t id, struct outgoing *o)
{
    struct error e;
    if (frame_send(p->socket, type, id, o, &e))
        fail_msg("%s", e.text);
    if (o)
        outgoing_release(o);
}

/* The next frame but PROGRESS, which is counted. */
static struct frame answer(const struct peer *p, unsigned *progress)
{
    struct frame f;
    struct error e;
    for (;;) {
        struct pollfd poll_fd = {.fd = p->socket, .events = POLLIN};
        assert_int_equal(poll(&poll_fd, 1, WAIT_MS), 1);
        if (frame_receive(p->socket, &f, &e))
            fail_msg("%s", e.text);
        if (f.type != INFER_PROGRESS)
            return f;
        if (progress)
            ++*progress;
        frame_release(&f);
    }
}

static struct frame expect(const struct peer *p, uint16_t type, uint64_t id)
{
    struct frame f = answer(p, NULL);
    if (f.type == INFER_FAILED && type != INFER_FAILED) {
        BUF_CLEANUP struct buf why = BUF_INIT(1024);
        assert_int_equal(frame_large(&f, INFER_TEXT, &why, NULL), OK);
        fail_msg("%s", buf_str(&why));
    }
    assert_int_equal(f.type, type);
    assert_true(f.id == id);
    return f;
}

static void expect_failed(const struct peer *p, uint64_t id, enum err code, const char *words)
{
    BUF_CLEANUP struct buf why = BUF_INIT(1024);
    struct frame f = expect(p, INFER_FAILED, id);
    assert_int_equal(message_get_u64(f.message, INFER_CODE, 0), code);
    assert_int_equal(frame_large(&f, INFER_TEXT, &why, NULL), OK);
    if (slice_find(buf_slice(&why), slice_of(words), 0) == why.n || slice_index(buf_slice(&why), '\n') != why.n)
        fail_msg("'%s' does not say '%s' in one line", buf_str(&why), words);
    frame_release(&f);
}

static void load(const struct peer *p, uint64_t id, struct slice file)
{
    FD_CLEANUP int fd = sys_memfd("model", file);
    struct outgoing o = outgoing_new();
    assert_true(fd >= 0);
    outgoing_put_fd(&o, INFER_FD, fd);
    message_put_u64(&o.message, INFER_THREADS, 2);
    ask(p, INFER_LOAD, id, &o);
}

static struct peer start_model(const struct tiny *t)
{
    struct peer p = start();
    struct buf file = tiny_gguf(t);
    load(&p, 1, buf_slice(&file));
    struct frame f = expect(&p, INFER_LOADED, 1);
    assert_true(slice_is(message_get(f.message, INFER_NAME), "tiny"));
    assert_int_equal(message_get_u64(f.message, INFER_VOCAB, 0), TINY_VOCAB);
    assert_int_equal(message_get_u64(f.message, INFER_CONTEXT, 0), t->context);
    assert_int_equal(message_get_u64(f.message, INFER_SLOTS, 0), 1);
    assert_int_equal(message_get_u64(f.message, INFER_BYTES, 0), file.n);
    frame_release(&f);
    buf_release(&file);
    return p;
}

static struct peer start_loaded(uint32_t context)
{
    struct tiny t = TINY_INIT;
    t.context = context;
    return start_model(&t);
}

/* Its 8000 tokens take seconds, and nothing but a limit ends them. */
static struct peer start_endless(void)
{
    struct tiny t = TINY_INIT;
    t.context = 8192, t.endless = true, t.layers = 12, t.width = 256, t.hidden = 768, t.heads = 8;
    return start_model(&t);
}

static struct outgoing question(const char *text, uint64_t most)
{
    struct outgoing o = outgoing_new();
    message_put(&o.message, INFER_ROLE, SLICE("system"));
    outgoing_put_large(&o, INFER_TEXT, SLICE("be"));
    message_put(&o.message, INFER_ROLE, SLICE("user"));
    outgoing_put_large(&o, INFER_TEXT, slice_of(text));
    message_put_u64(&o.message, INFER_MAX_TOKENS, most);
    return o;
}

static void test_generate(void **state)
{
    (void)state;
    struct peer p = start_loaded(128);
    struct outgoing o = question("the thing", 9);
    ask(&p, INFER_GENERATE, 2, &o);
    struct frame f = expect(&p, INFER_GENERATED, 2);
    BUF_CLEANUP struct buf text = BUF_INIT(4096);
    assert_int_equal(frame_large(&f, INFER_TEXT, &text, NULL), OK);
    assert_true(slice_is_utf8(buf_slice(&text)));
    /* <open> system \n b e <close> \n, <open> user \n the _ th ing <close> \n, <open> assista nt \n */
    assert_int_equal(message_get_u64(f.message, INFER_IN, 0), 12 + 12 + 10);
    assert_in_range(message_get_u64(f.message, INFER_OUT, 99), 0, 9);
    assert_true(message_get_u64(f.message, INFER_CPU_NS, 0) > 0);
    assert_true(message_get_u64(f.message, INFER_PREFILL_NS, 0) > 0);
    assert_true(message_get_u64(f.message, INFER_STOP, 99) <= INFER_STOP_LENGTH);
    frame_release(&f);
    peer_kill(&p);
}

#define TWO_TOOLS \
    "[{\"name\":\"ls\",\"description\":\"List.\",\"parameters\":{\"type\":\"object\",\"properties\":{\"path\":{\"type\":\"string\"," \
    "\"maxLength\":80}},\"required\":[\"path\"]}},{\"name\":\"now\"}]"

static struct outgoing tool_question(const char *tools, const char *choice, uint64_t most)
{
    struct outgoing o = question("in", most);
    outgoing_put_large(&o, INFER_TOOLS, slice_of(tools));
    if (choice)
        message_put(&o.message, INFER_CHOICE, slice_of(choice));
    return o;
}

/* Each call of an answer is one of the two tools above with an object; returns how many. */
static size_t check_calls(const struct frame *f)
{
    struct message_reader r = message_read(f->message);
    struct field field;
    struct slice name = SLICE_NONE;
    size_t n = 0;
    while (message_next(&r, &field) > 0) {
        BUF_CLEANUP struct buf arguments = BUF_INIT(1 << 20);
        if (field.tag == INFER_CALL_NAME)
            name = field.bytes;
        if (field.tag != INFER_ARGUMENTS)
            continue;
        assert_int_equal(frame_field_large(f, field, &arguments, NULL), OK);
        bool ls = slice_is(name, "ls") && slice_starts(buf_slice(&arguments), SLICE("{\"path\": \"")) &&
                  slice_ends(buf_slice(&arguments), SLICE("\"}"));
        assert_true(ls || (slice_is(name, "now") && slice_is(buf_slice(&arguments), "{}")));
        name = SLICE_NONE;
        n++;
    }
    return n;
}

/* Random weights say anything, and so does a seed: what they are held to is valid all the same, or there is no call. */
static void test_calls(void **state)
{
    (void)state;
    struct tiny t = TINY_INIT;
    t.context = 2048;
    struct peer p = start_model(&t);
    size_t calls = 0, shortened = 0;
    for (uint64_t i = 0; i < 60; i++) {
        struct outgoing o = tool_question(TWO_TOOLS, "any", i < 40 ? 30 + 2 * i : 400);
        message_put_u64(&o.message, INFER_TEMPERATURE_MILLI, i % 3 * 20000);
        message_put_u64(&o.message, INFER_SEED, i);
        ask(&p, INFER_GENERATE, 10 + i, &o);
        struct frame f = expect(&p, INFER_GENERATED, 10 + i);
        BUF_CLEANUP struct buf text = BUF_INIT(4096);
        assert_int_equal(frame_large(&f, INFER_TEXT, &text, NULL), OK);
        assert_int_equal(text.n, 0);
        calls += check_calls(&f) > 0;
        shortened += message_get_u64(f.message, INFER_SHORTENED, 0);
        assert_true(message_get_u64(f.message, INFER_OUT, 999) <= (i < 40 ? 30 + 2 * i : 400));
        frame_release(&f);
    }
    assert_true(calls > 20 && shortened > 0 && shortened < calls);
    peer_kill(&p);
}

/* What is said of tools is taken with every choice, also a conversation in which they were used. */
static void test_conversation_with_tools(void **state)
{
    (void)state;
    struct peer p = start_loaded(2048);
    static const char *const choices[] = {NULL, "auto", "none"};
    for (size_t i = 0; i < 3; i++) {
        struct outgoing o = tool_question(TWO_TOOLS, choices[i], 20);
        message_put(&o.message, INFER_ROLE, SLICE("assistant"));
        outgoing_put_large(&o, INFER_TEXT, SLICE("<tool_call>\n{\"name\": \"now\", \"arguments\": {}}\n</tool_call>"));
        for (int j = 0; j < 2; j++) {
            message_put(&o.message, INFER_ROLE, SLICE("tool"));
            outgoing_put_large(&o, INFER_TEXT, SLICE("12:00"));
        }
        ask(&p, INFER_GENERATE, 20 + i, &o);
        struct frame f = expect(&p, INFER_GENERATED, 20 + i);
        check_calls(&f);
        frame_release(&f);
    }
    struct outgoing o = tool_question(TWO_TOOLS, "perhaps", 2);
    ask(&p, INFER_GENERATE, 30, &o);
    expect_failed(&p, 30, ERR_USAGE, "the choice of tools");
    o = tool_question("[{\"name\":\"x\",\"parameters\":{\"$ref\":\"#\"}}]", NULL, 2);
    ask(&p, INFER_GENERATE, 31, &o);
    expect_failed(&p, 31, ERR_UNSUPPORTED, "the tool 'x': the schema at 'the top': a local model cannot be held to its $ref");
    o = tool_question("[]", "any", 2);
    ask(&p, INFER_GENERATE, 32, &o);
    struct frame f = expect(&p, INFER_GENERATED, 32);
    frame_release(&f);
    peer_kill(&p);
}

/* The text as it comes is the beginning of the text; it comes at most thirty times a second, and only where it is wanted. */
static void test_deltas(void **state)
{
    (void)state;
    struct peer p = start_endless();
    BUF_CLEANUP struct buf so_far = BUF_INIT(1 << 20), text = BUF_INIT(1 << 20);
    size_t deltas = 0;
    struct outgoing o = question("in", 400);
    message_put_u64(&o.message, INFER_STREAM, 1);
    message_put_u64(&o.message, INFER_TEMPERATURE_MILLI, 2000);
    int64_t start_ns = sys->boottime_ns();
    ask(&p, INFER_GENERATE, 2, &o);
    struct frame f;
    while (f = answer(&p, NULL), f.type == INFER_DELTA) {
        size_t before = so_far.n;
        assert_true(f.id == 2);
        assert_int_equal(frame_large(&f, INFER_TEXT, &so_far, NULL), OK);
        assert_true(so_far.n > before && slice_is_utf8(buf_slice(&so_far)));
        deltas++;
        frame_release(&f);
    }
    assert_int_equal(f.type, INFER_GENERATED);
    assert_int_equal(frame_large(&f, INFER_TEXT, &text, NULL), OK);
    assert_true(slice_starts(buf_slice(&text), buf_slice(&so_far)));
    assert_in_range(deltas, 2, (sys->boottime_ns() - start_ns) / 33000000 + 1);
    frame_release(&f);
    peer_kill(&p);
}

static void test_measure(void **state)
{
    (void)state;
    struct peer p = start_loaded(128);
    struct outgoing o = outgoing_new();
    BUF_CLEANUP struct buf text = BUF_INIT(1 << 20);
    for (int i = 0; i < 20000; i++) /* larger than a frame */
        buf_add_text(&text, "xy z\n");
    outgoing_put_large(&o, INFER_TEXT, buf_slice(&text));
    message_put_u64(&o.message, INFER_WINDOW, 50);
    ask(&p, INFER_MEASURE, 3, &o);
    struct frame f = expect(&p, INFER_MEASURED, 3);
    assert_int_equal(message_get_u64(f.message, INFER_TOKENS, 0), 100000);
    struct message_reader r = message_read(f.message);
    struct field field;
    uint64_t at = 0, end;
    size_t parts = 0;
    while (message_next(&r, &field) > 0) {
        if (field.tag != INFER_CUT)
            continue;
        assert_true(field_u64(field, &end));
        assert_true(end > at && end - at <= 50 && end % 5 == 0); /* at a line: each byte is a token here */
        at = end;
        parts++;
    }
    assert_true(at == text.n && parts == 2000);
    frame_release(&f);
    peer_kill(&p);
}

static void expect_stop(const struct peer *p, uint64_t id, enum infer_stop stop, unsigned *progress)
{
    struct frame f = answer(p, progress);
    assert_int_equal(f.type, INFER_GENERATED);
    assert_int_equal(f.id, id);
    assert_int_equal(message_get_u64(f.message, INFER_STOP, 99), stop);
    frame_release(&f);
}

static void test_order_and_cancel(void **state)
{
    (void)state;
    struct peer p = start_endless();
    unsigned progress = 0;
    struct outgoing o = question("in", 8000);
    ask(&p, INFER_GENERATE, 10, &o);
    o = question("in", 2), ask(&p, INFER_GENERATE, 11, &o);
    o = question("in", 3), ask(&p, INFER_GENERATE, 12, &o);
    ask(&p, INFER_CANCEL, 11, NULL);
    expect_stop(&p, 11, INFER_STOP_CANCELLED, &progress); /* waited: answered before the one that is worked on */
    usleep(250000);
    ask(&p, INFER_CANCEL, 10, NULL);
    expect_stop(&p, 10, INFER_STOP_CANCELLED, &progress);
    assert_in_range(progress, 1, 10 + 250); /* there was news; how often is the next test's */
    ask(&p, INFER_CANCEL, 4711, NULL); /* nothing of that name: nothing happens */
    expect_stop(&p, 12, INFER_STOP_LENGTH, NULL);
    peer_kill(&p);
}

static void test_progress_is_not_more_than_ten_a_second(void **state)
{
    (void)state;
    struct peer p = start_endless();
    unsigned progress = 0;
    struct outgoing o = question("in", 300);
    int64_t start_ns = sys->boottime_ns();
    ask(&p, INFER_GENERATE, 2, &o);
    expect_stop(&p, 2, INFER_STOP_LENGTH, &progress);
    int64_t most = (sys->boottime_ns() - start_ns) / 100000000 + 1;
    assert_true(progress <= most);
    peer_kill(&p);
}

static void test_cpu_limit(void **state)
{
    (void)state;
    struct peer p = start_endless();
    struct outgoing o = question("in", 8000);
    message_put_u64(&o.message, INFER_CPU_LIMIT_NS, 30000000);
    ask(&p, INFER_GENERATE, 10, &o);
    struct frame f = expect(&p, INFER_GENERATED, 10);
    assert_int_equal(message_get_u64(f.message, INFER_STOP, 99), INFER_STOP_CPU);
    assert_in_range(message_get_u64(f.message, INFER_CPU_NS, 0), 30000000, 1000000000);
    frame_release(&f);
    peer_kill(&p);
}

static void test_failures(void **state)
{
    (void)state;
    struct peer p = start();
    struct outgoing o = question("in", 2);
    ask(&p, INFER_GENERATE, 1, &o);
    expect_failed(&p, 1, ERR_USAGE, "no model is loaded");
    load(&p, 2, SLICE("GIF89a, not a model at all"));
    expect_failed(&p, 2, ERR_CORRUPT, "not a GGUF");
    ask(&p, INFER_LOAD, 3, NULL);
    expect_failed(&p, 3, ERR_USAGE, "without a model file");
    ask(&p, 4242, 4, NULL);
    expect_failed(&p, 4, ERR_UNSUPPORTED, "4242");
    peer_kill(&p);

    p = start_loaded(32);
    ask(&p, INFER_GENERATE, 5, NULL);
    expect_failed(&p, 5, ERR_USAGE, "without a turn");
    o = outgoing_new();
    message_put(&o.message, INFER_ROLE, SLICE("<|im_start|>"));
    outgoing_put_large(&o, INFER_TEXT, SLICE("x"));
    ask(&p, INFER_GENERATE, 6, &o);
    expect_failed(&p, 6, ERR_USAGE, "nobody known");
    o = question("far too long for a context of thirty-two tokens, as it is not hard to see", 1);
    ask(&p, INFER_GENERATE, 7, &o);
    expect_failed(&p, 7, ERR_LIMIT, "context holds 32");
    o = outgoing_new();
    outgoing_put_large(&o, INFER_TEXT, SLICE("x"));
    message_put_u64(&o.message, INFER_WINDOW, 3);
    ask(&p, INFER_MEASURE, 8, &o);
    expect_failed(&p, 8, ERR_USAGE, "too small");
    peer_kill(&p);
}

/* A finite bound for what may take its time on a loaded machine. */
static int wait_for_end(struct peer *p)
{
    int status = -1;
    for (int i = 0; i < WAIT_MS / 10; i++) {
        if (waitpid(p->pid, &status, WNOHANG) == p->pid)
            return status;
        usleep(10000);
    }
    peer_kill(p);
    fail_msg("it did not end with its socket");
    return -1;
}

static void test_ends_with_its_socket(void **state)
{
    (void)state;
    struct peer idle = start(), busy = start_endless();
    struct outgoing o = question("in", 8000);
    ask(&busy, INFER_GENERATE, 2, &o);
    close(idle.socket);
    close(busy.socket);
    int status = wait_for_end(&idle);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    status = wait_for_end(&busy);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void *nothing(void *arg)
{
    return arg;
}

/* In a process of its own: the number of the first wall that is not there, 0 if all are and what it needs works. */
static int try_walls(void)
{
    struct error e;
    pthread_t thread;
    enum err err = confine(&e);
    if (err == ERR_UNSUPPORTED)
        return 77;
    if (err)
        return 1;
    if (open("/dev/null", O_RDONLY) >= 0 || errno != EPERM)
        return 2;
    if (socket(AF_UNIX, SOCK_STREAM, 0) >= 0 || errno != EPERM)
        return 3;
    if (fork() >= 0)
        return 4;
    if (mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED)
        return 5;
    char *const none[] = {NULL};
    if (execve("/bin/true", none, none) == 0 || errno != EPERM)
        return 6;
    if (prctl(PR_GET_DUMPABLE) > 0 || kill(getppid(), 0) == 0)
        return 7;
    if (pthread_create(&thread, NULL, nothing, NULL) || pthread_join(thread, NULL))
        return 8;
    int fd = sys_memfd("x", SLICE("x"));
    return fd < 0 ? 9 : 0;
}

static void test_is_confined(void **state)
{
    (void)state;
    pid_t child = fork();
    if (child == 0)
        _exit(try_walls());
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77)
        skip();
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* The program does what the test above tries. */
static void test_program_confines_itself(void **state)
{
    (void)state;
    struct peer p = start_loaded(32);
    BUF_CLEANUP struct buf path = BUF_INIT(64), text = BUF_INIT(1 << 16);
    struct error e;
    buf_addf(&path, "/proc/%d/status", (int)p.pid);
    if (sys_read_file(AT_FDCWD, buf_str(&path), &text, &e))
        fail_msg("%s", e.text);
    assert_true(slice_find(buf_slice(&text), SLICE("NoNewPrivs:\t1"), 0) < text.n);
    peer_kill(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_generate),
        cmocka_unit_test(test_calls),
        cmocka_unit_test(test_conversation_with_tools),
        cmocka_unit_test(test_deltas),
        cmocka_unit_test(test_measure),
        cmocka_unit_test(test_order_and_cancel),
        cmocka_unit_test(test_progress_is_not_more_than_ten_a_second),
        cmocka_unit_test(test_cpu_limit),
        cmocka_unit_test(test_failures),
        cmocka_unit_test(test_ends_with_its_socket),
        cmocka_unit_test(test_is_confined),
        cmocka_unit_test(test_program_confines_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
