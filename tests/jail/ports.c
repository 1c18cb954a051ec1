/*
 * Services in real jails, as root and as a user: a jail that goes on while another one connects to it. What is connected
 * to at a `listen` port comes out at the service's, both ways and to the last byte, though no process is in two network
 * namespaces; ends of directions pass; what nobody listens at is refused; a listener goes when its jail does; and when
 * whoever started them dies, nothing is left. Planted once and caught: the life of
 * a listener that is not looked at.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/sys.h"
#include "rig.h"

enum { PORT = 5432, OTHER = 80 };

static uint16_t ports[] = {PORT, OTHER};
static struct slice service_words[3];

/* ---- a service ---- */

static struct peer service_start(const char *script, size_t nports)
{
    struct error e = {.code = OK};
    struct peer peer = PEER_INIT;
    struct jail_plan p = new_plan();
    service_words[0] = SLICE("sh");
    service_words[1] = SLICE("-c");
    service_words[2] = slice_of(script);
    p.argv = service_words;
    p.nargv = 3;
    p.service = true;
    p.serves = ports;
    p.nserves = nports;
    p.limits.wall_ms = 0;
    p.limits.output = 1 << 20;
    if (jail_start(jail_path, &p, NULL, false, &peer, &e))
        fail_msg("%s", e.text);
    return peer;
}

static void send_plain(const struct peer *peer, enum jail_frame type, uint64_t show)
{
    struct error e = {.code = OK};
    OUTGOING_CLEANUP struct outgoing m = outgoing_new();
    message_put_u64(&m.message, JAIL_SHOW, show);
    if (frame_send(peer->socket, type, 1, &m, &e))
        fail_msg("%s", e.text);
}

/* The next frame, within ten seconds. */
static void next(const struct peer *peer, struct frame *ret)
{
    struct error e = {.code = OK};
    struct pollfd p = {.fd = peer->socket, .events = POLLIN};
    if (poll(&p, 1, 10000) != 1 || frame_receive(peer->socket, ret, &e))
        fail_msg("nothing came: %s", e.text);
}

/* Waits for a JAIL_STATE; false: it has ended instead. *ret_text: what is shown of its output; may be NULL. */
static bool is_up(const struct peer *peer, struct buf *ret_text)
{
    FRAME_CLEANUP struct frame f = FRAME_INIT;
    next(peer, &f);
    if (f.type == JAIL_STATE && ret_text && frame_large(&f, JAIL_OUT, ret_text, NULL))
        fail_msg("a state without output");
    return f.type == JAIL_STATE && message_get_u64(f.message, JAIL_UP, 0);
}

static struct jail_result stop(struct peer *peer)
{
    send_plain(peer, JAIL_STOP, 0);
    return finish(peer);
}

/* ---- a step that connects ---- */

/* Plays a script with the ports; gives its listeners to the service. */
static struct jail_result play_with(const struct peer *service, const char *script)
{
    struct error e = {.code = OK};
    struct peer peer = PEER_INIT;
    struct jail_plan p = new_plan();
    words[0] = SLICE("sh");
    words[1] = SLICE("-c");
    words[2] = slice_of(script);
    p.nargv = 3;
    p.listen = ports;
    p.nlisten = 2;
    if (jail_start(jail_path, &p, NULL, false, &peer, &e))
        fail_msg("%s", e.text);
    for (;;) {
        FRAME_CLEANUP struct frame f = FRAME_INIT;
        struct jail_result r;
        if (frame_receive(peer.socket, &f, &e))
            fail_msg("%s", e.text);
        if (f.type == JAIL_RESULT) {
            assert_int_equal(jail_result_parse(&f, &r, &e), OK);
            peer_kill(&peer);
            return r;
        }
        assert_int_equal(f.type, JAIL_LISTENER);
        int v4 = frame_take_fd(&f, JAIL_V4), v6 = frame_take_fd(&f, JAIL_V6), life = frame_take_fd(&f, JAIL_LIFE);
        uint64_t port = message_get_u64(f.message, JAIL_PORT, 0);
        assert_true(v4 >= 0 && life >= 0 && (port == PORT || port == OTHER));
        OUTGOING_CLEANUP struct outgoing m = outgoing_new();
        message_put_u64(&m.message, JAIL_PORT, port);
        outgoing_put_fd(&m, JAIL_V4, v4);
        if (v6 >= 0)
            outgoing_put_fd(&m, JAIL_V6, v6);
        outgoing_put_fd(&m, JAIL_LIFE, life);
        if (service && frame_send(service->socket, JAIL_OFFER, 1, &m, &e))
            fail_msg("%s", e.text);
        sys_close_fd(&v4);
        sys_close_fd(&v6);
        sys_close_fd(&life);
    }
}

static void expect_out(struct jail_result *r, const char *text)
{
    expect(r, JAIL_EXITED, 0);
    assert_string_equal(buf_str(&r->out), text);
    jail_result_release(r);
}

#define ECHO(host) \
    "exec python3 -u -c '\n" \
    "import socket, threading\n" \
    "s = socket.socket(socket.AF_INET6 if \":\" in \"" host "\" else socket.AF_INET); s.bind((\"" host "\", 5432)); s.listen(600)\n" \
    "print(\"listening\")\n" \
    "def one(c):\n" \
    "    while True:\n" \
    "        b = c.recv(65536)\n" \
    "        if not b: break\n" \
    "        c.sendall(b)\n" \
    "    c.sendall(b\"end\"); c.close()\n" \
    "while True: threading.Thread(target=one, args=(s.accept()[0],), daemon=True).start()\n'"

#define CLIENT(body) \
    "exec python3 -c '\n" \
    "import socket, threading, os, hashlib\n" \
    "def dial(host=\"localhost\", port=5432): return socket.create_connection((host, port), 20)\n" \
    "def rest(c):\n" \
    "    out = bytearray()\n" \
    "    while True:\n" \
    "        b = c.recv(65536)\n" \
    "        if not b: return bytes(out)\n" \
    "        out += b\n" \
    body "'"

static void test_reaches(void **state)
{
    (void)state;
    struct peer service = service_start(ECHO("127.0.0.1"), 1);
    assert_true(is_up(&service, NULL));
    for (int i = 0; i < 2; i++) { /* and the next step too */
        struct jail_result r = play_with(&service, CLIENT("for host in (\"127.0.0.1\", \"localhost\"):\n"
                                                          "    c = dial(host); c.sendall(b\"hello \"); c.shutdown(1); print(rest(c).decode())\n"));
        expect_out(&r, "hello end\nhello end\n");
    }
    struct jail_result r = stop(&service);
    assert_int_equal(r.how, JAIL_TIMEOUT);
    assert_string_equal(buf_str(&r.out), "listening\n");
    jail_result_release(&r);
}

/* Vite listens at ::1 alone where that is what `localhost` is. */
static void test_reaches_six(void **state)
{
    (void)state;
    struct peer service = service_start(ECHO("::1"), 1);
    if (!is_up(&service, NULL)) {
        peer_kill(&service);
        skip();
    }
    struct jail_result r = play_with(&service, CLIENT("c = dial(\"127.0.0.1\"); c.shutdown(1); print(rest(c).decode())\n"));
    expect_out(&r, "end\n");
    peer_kill(&service);
}

static void test_refused(void **state)
{
    (void)state;
    struct peer service = service_start(ECHO("127.0.0.1"), 1);
    assert_true(is_up(&service, NULL));
    struct jail_result r = play_with(&service, CLIENT("c = dial(port=80); print(rest(c))\n" /* it serves no such port */
                                                      "try: dial(port=81)\n"
                                                      "except ConnectionRefusedError: print(\"refused\")\n"));
    expect_out(&r, "b''\nrefused\n");
    peer_kill(&service);
    r = play_with(NULL, CLIENT("try: print(rest(dial()))\n"
                               "except OSError: print(\"nobody\")\n"));
    expect_out(&r, "nobody\n");
}

static void test_much(void **state)
{
    (void)state;
    struct peer service = service_start(ECHO("127.0.0.1"), 1);
    assert_true(is_up(&service, NULL));
    struct jail_result r = play_with(&service, CLIENT("data = os.urandom(20 << 20)\n" /* back pressure: both ways at once */
                                                      "c = dial()\n"
                                                      "def put(): c.sendall(data); c.shutdown(1)\n"
                                                      "t = threading.Thread(target=put); t.start()\n"
                                                      "print(rest(c) == data + b\"end\")\n"));
    expect_out(&r, "True\n");
    r = play_with(&service, CLIENT("cs = [dial() for i in range(300)]\n"
                                   "for i, c in enumerate(cs): c.sendall(str(i).encode()); c.shutdown(1)\n"
                                   "print(all(rest(c) == str(i).encode() + b\"end\" for i, c in enumerate(cs)))\n"));
    expect_out(&r, "True\n");
    peer_kill(&service);
}

/* R3: of a jail that ended nothing is held open, else its namespace would live as long as the service. */
static unsigned sockets_of(pid_t pid)
{
    char path[64], to[300];
    unsigned found = 0;
    snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
    DIR *d = opendir(path);
    if (!d)
        fail_msg("cannot look into %s", path);
    for (const struct dirent *f; (f = readdir(d));)
        found += readlinkat(dirfd(d), f->d_name, to, sizeof to) > 7 && strncmp(to, "socket:", 7) == 0;
    closedir(d);
    return found;
}

static void test_life(void **state)
{
    (void)state;
    if (!root)
        skip(); /* it is not dumpable: its descriptors are root's to see */
    struct peer service = service_start(ECHO("127.0.0.1"), 1);
    assert_true(is_up(&service, NULL));
    unsigned before = sockets_of(service.pid), after = 0;
    for (int i = 0; i < 3; i++) {
        struct jail_result r = play_with(&service, CLIENT("c = dial(); c.sendall(b\"x\"); print(c.recv(1), flush=True); os._exit(0)\n"));
        expect_out(&r, "b'x'\n");
    }
    for (int i = 0; i < 100 && (after = sockets_of(service.pid)) > before; i++)
        usleep(20000);
    assert_int_equal(after, before);
    peer_kill(&service);
}

static void test_states(void **state)
{
    (void)state;
    BUF_CLEANUP struct buf text = BUF_INIT(1 << 20);
    struct peer watcher = service_start("echo watching; sleep 1000", 0);
    assert_true(is_up(&watcher, NULL));
    send_plain(&watcher, JAIL_LOOK, 5);
    assert_true(is_up(&watcher, &text));
    assert_string_equal(buf_str(&text), "hing\n");
    peer_kill(&watcher);
    struct peer broken = service_start("echo no such database; exit 3", 1);
    struct jail_result r = finish(&broken);
    expect(&r, JAIL_EXITED, 3);
    jail_result_release(&r);
    struct peer deaf = service_start("sleep 1000", 1); /* lives, but listens at nothing */
    struct pollfd p = {.fd = deaf.socket, .events = POLLIN};
    assert_int_equal(poll(&p, 1, 700), 0);
    send_plain(&deaf, JAIL_LOOK, 0);
    assert_false(is_up(&deaf, NULL));
    peer_kill(&deaf);
}

/* What started it is killed, by whatever: all of it is dead. */
static void test_dies_along(void **state)
{
    (void)state;
    int pipe_fds[2];
    assert_int_equal(pipe(pipe_fds), 0);
    pid_t engine = fork();
    if (engine == 0) {
        char mark[64];
        struct peer service = service_start("touch /work/alive; while :; do sleep 0.02; echo x >/work/beats; done", 0);
        snprintf(mark, sizeof mark, "%d", (int)service.pid);
        if (!is_up(&service, NULL) || write(pipe_fds[1], mark, sizeof mark) < 0)
            _exit(1);
        pause();
    }
    char mark[64] = "";
    assert_true(read(pipe_fds[0], mark, sizeof mark) > 0);
    assert_true(exists(below(work, "alive")));
    kill(engine, SIGKILL);
    waitpid(engine, NULL, 0);
    for (int i = 0; i < 200 && lives(atoi(mark)); i++)
        usleep(10000);
    assert_false(lives(atoi(mark)));
    usleep(100000); /* pid 1 and all inside with it */
    unlink(below(work, "beats"));
    usleep(200000);
    assert_false(exists(below(work, "beats")));
}

int main(int argc, char **argv)
{
    int status = rig_start(argc, argv);
    if (status)
        return status;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reaches), cmocka_unit_test(test_reaches_six), cmocka_unit_test(test_refused), cmocka_unit_test(test_much),
        cmocka_unit_test(test_life), cmocka_unit_test(test_states), cmocka_unit_test(test_dies_along),
    };
    status = cmocka_run_group_tests(tests, NULL, NULL);
    tear_down();
    return status;
}
