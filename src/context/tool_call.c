/* Calls of tools, as models write them. Names and keys that they bring along from elsewhere are listed here, and nowhere else. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "context/tools.h"
#include "text/json.h"

enum key {
    KEY_PATH, KEY_OFFSET, KEY_LINES, KEY_END, KEY_CONTENT, KEY_OLD, KEY_NEW, KEY_ALL, KEY_EDITS, KEY_COMMAND, KEY_TIMEOUT, KEY_TIMEOUT_MS,
    KEY_QUESTION, KEY_OPTIONS, KEY_NAME, KEY_PORTS, KEY_STOP, KEY_WRITES, KEY_IGNORED, KEYS,
};

enum { READ = 1 << TOOL_READ, WRITE = 1 << TOOL_WRITE, EDIT = 1 << TOOL_EDIT, BASH = 1 << TOOL_BASH, SERVE = 1 << TOOL_SERVE, ASK = 1 << TOOL_ASK };

/* Our name first; what others say (Claude Code, Codex, pi, OpenCode, Gemini CLI, Cline, Aider) behind it. */
static const struct {
    enum tool tool;
    const char *names;
    const char *takes;
} tool_words[] = {
    {TOOL_READ, "read read_file readfile view view_file open_file cat ls list list_dir list_directory", "path, offset, limit"},
    {TOOL_WRITE, "write write_file writefile create create_file write_to_file", "path, content"},
    {TOOL_EDIT, "edit edit_file multiedit multi_edit str_replace replace search_replace replace_in_file", "path, edits: [{old, new, all}]"},
    {TOOL_BASH, "bash shell sh run exec execute run_command execute_command run_shell_command terminal local_shell", "command, timeout"},
    {TOOL_SERVE, "serve service start_server run_server", "name, command, ports, stop, writes"},
    {TOOL_ASK, "ask ask_user askuserquestion ask_question ask_followup_question question", "question, options"},
};

static const struct {
    enum key key;
    unsigned tools;
    const char *names;
} key_words[] = {
    {KEY_PATH, READ | WRITE | EDIT, "path file_path filepath filename file file_name absolute_path target_file"},
    {KEY_PATH, READ, "directory dir dir_path folder"},
    {KEY_OFFSET, READ, "offset start_line startline start line line_start"},
    {KEY_LINES, READ, "limit lines num_lines max_lines line_count"},
    {KEY_END, READ, "end_line endline end line_end"},
    {KEY_CONTENT, WRITE, "content contents text file_text new_content file_content"},
    {KEY_OLD, EDIT, "old old_string old_str oldstring oldtext old_text search find"},
    {KEY_NEW, EDIT, "new new_string new_str newstring newtext new_text replace replacement replace_with"},
    {KEY_ALL, EDIT, "all replace_all replaceall global"},
    {KEY_EDITS, EDIT, "edits changes replacements"},
    {KEY_COMMAND, BASH | SERVE, "command cmd script commands run"},
    {KEY_TIMEOUT, BASH, "timeout timeout_s timeout_seconds timeout_sec"},
    {KEY_TIMEOUT_MS, BASH, "timeout_ms timeoutms"},
    {KEY_NAME, SERVE, "name service id"},
    {KEY_PORTS, SERVE, "ports port"},
    {KEY_STOP, SERVE, "stop kill end"},
    {KEY_WRITES, SERVE, "writes write writable"},
    {KEY_QUESTION, ASK, "question prompt message text query"},
    {KEY_OPTIONS, ASK, "options choices suggestions"},
    {KEY_IGNORED, READ | WRITE | EDIT | BASH | SERVE | ASK, "description explanation reason thought justification"},
};

struct parsing {
    const char *tool, *takes; /* for words */
    unsigned bit;
    const struct json *v[KEYS];
    struct slice as[KEYS];    /* the spelling that was used */
    struct slice keys;        /* all, for words */
    struct arena *a;
    struct error *e;
};

static bool is_word(struct slice s, const char *words)
{
    for (const char *at = words; *at;) {
        size_t n = strcspn(at, " ");
        if (n == s.n && strncasecmp(at, s.p, n) == 0)
            return true;
        at += n + strspn(at + n, " ");
    }
    return false;
}

/* ---- words ---- */

static enum err wrong(const struct parsing *p, enum key k, const char *what)
{
    return error_set(p->e, ERR_USAGE, "%s: `%.*s` %s", p->tool, SLICE_ARG(slice_cut(p->as[k], 40)), what);
}

static enum err needs(const struct parsing *p, const char *what)
{
    struct slice got = p->keys.n ? slice_cut(p->keys, 200) : SLICE("nothing");
    return error_set(p->e, ERR_USAGE, "%s needs `%s`; it got %.*s (it takes %s)", p->tool, what, SLICE_ARG(got), p->takes);
}

static enum err full(const struct parsing *p)
{
    return error_set(p->e, ERR_MEMORY, "%s: there is more than fits in memory", p->tool);
}

/* ---- keys ---- */

static enum key key_of(const struct parsing *p, struct slice name)
{
    for (size_t i = 0; i < sizeof key_words / sizeof *key_words; i++)
        if ((key_words[i].tools & p->bit) && is_word(name, key_words[i].names))
            return key_words[i].key;
    return KEYS;
}

static bool same(const struct json *a, const struct json *b)
{
    BUF_CLEANUP struct buf x = BUF_INIT(JSON_BYTES_MAX), y = BUF_INIT(JSON_BYTES_MAX);
    json_print(a, &x);
    json_print(b, &y);
    return buf_ok(&x) && buf_ok(&y) && slice_eq(buf_slice(&x), buf_slice(&y));
}

/* Sorts the members of an object by what they mean; null is as if it were not there. */
static enum err collect(struct parsing *p, const struct json *object)
{
    BUF_CLEANUP struct buf names = BUF_INIT(400);
    struct json_walk w = {0};
    const struct json *v;
    struct slice name;
    while (json_next(object, &w, &name, &v)) {
        enum key k = key_of(p, name);
        if (names.n < 200)
            buf_addf(&names, "%s%.*s", names.n ? ", " : "", SLICE_ARG(slice_cut(name, 40)));
        if (k == KEY_IGNORED || !v)
            continue;
        if (k == KEYS)
            return error_set(p->e, ERR_USAGE, "%s knows no `%.*s`; it takes %s", p->tool, SLICE_ARG(slice_cut(name, 40)), p->takes);
        if (p->v[k] && !same(p->v[k], v))
            return error_set(p->e, ERR_USAGE, "%s got both `%.*s` and `%.*s`, and they differ: give one", p->tool,
                             SLICE_ARG(slice_cut(p->as[k], 40)), SLICE_ARG(slice_cut(name, 40)));
        p->v[k] = v;
        p->as[k] = name;
    }
    p->keys = arena_copy(p->a, buf_slice(&names));
    return p->keys.p ? OK : full(p);
}

/* ---- values ---- */

static enum err take_text(const struct parsing *p, enum key k, bool nul, struct slice *ret)
{
    static const char *const kinds[] = {"null", "true or false", "a number", "a number", "text", "a list", "an object"};
    char words[80];
    enum json_type type = json_type(p->v[k]);
    if (type != JSON_TEXT) {
        snprintf(words, sizeof words, "must be text, but it is %s%s", kinds[type], k == KEY_CONTENT ? "; give it as one string" : "");
        return wrong(p, k, words);
    }
    struct slice s = json_text(p->v[k]);
    if (!nul && slice_index(s, '\0') < s.n)
        return wrong(p, k, "holds a NUL");
    *ret = arena_copy(p->a, s);
    return ret->p ? OK : full(p);
}

static enum err need_text(const struct parsing *p, enum key k, const char *name, bool nul, struct slice *ret)
{
    return p->v[k] ? take_text(p, k, nul, ret) : needs(p, name);
}

/* A whole number from 0, also as text ("12") or a real (12.0); 0 where it is not given. */
static enum err take_number(const struct parsing *p, enum key k, uint64_t *ret)
{
    int64_t n = -1;
    const struct json *v = p->v[k];
    double real = json_real(v, -1);
    if (!v)
        n = 0;
    else if (json_type(v) == JSON_INT)
        n = json_int(v, -1);
    else if (json_type(v) == JSON_REAL && real >= 0 && real < 1e15 && real == (double)(int64_t)real)
        n = (int64_t)real;
    else if (json_type(v) == JSON_TEXT && !slice_int(slice_trim(json_text(v)), &n))
        n = -1;
    if (n < 0)
        return wrong(p, k, "must be a whole number, 0 or more");
    *ret = (uint64_t)n;
    return OK;
}

static enum err take_bool(const struct parsing *p, enum key k, bool *ret)
{
    const struct json *v = p->v[k];
    struct slice s = json_text(v);
    *ret = json_bool(v, false) || is_word(s, "true");
    if (!v || json_type(v) == JSON_BOOL || is_word(s, "true") || is_word(s, "false"))
        return OK;
    return wrong(p, k, "must be true or false");
}

/* ---- tools ---- */

static enum err parse_path(const struct parsing *p, struct tool_call *c)
{
    enum err err = need_text(p, KEY_PATH, "path", false, &c->path);
    return err || c->path.n ? err : wrong(p, KEY_PATH, "is empty");
}

static enum err parse_read(const struct parsing *p, struct tool_call *c)
{
    uint64_t end = 0;
    int64_t step;
    enum err err = parse_path(p, c);
    if (!err)
        err = take_number(p, KEY_OFFSET, &c->offset);
    if (!err)
        err = take_number(p, KEY_LINES, &c->lines);
    if (!err)
        err = take_number(p, KEY_END, &end);
    if (err)
        return err;
    uint64_t from = c->offset ? c->offset : 1;
    if (end && end < from)
        return wrong(p, KEY_END, "is before the first line");
    if (end && (!c->lines || c->lines > end - from + 1))
        c->lines = end - from + 1;
    if (slice_starts(c->path, SLICE("step:"))) {
        if (!slice_int(slice_sub(c->path, 5, c->path.n), &step) || step < 1)
            return wrong(p, KEY_PATH, "must be step: and a number");
        c->step = (uint64_t)step;
    }
    return OK;
}

static enum err parse_write(const struct parsing *p, struct tool_call *c)
{
    enum err err = parse_path(p, c);
    return err ? err : need_text(p, KEY_CONTENT, "content", true, &c->content);
}

static enum err parse_old_new(const struct parsing *p, struct tool_edit *ret)
{
    enum err err = need_text(p, KEY_OLD, "old", true, &ret->old);
    if (!err)
        err = need_text(p, KEY_NEW, "new", true, &ret->new);
    return err ? err : take_bool(p, KEY_ALL, &ret->all);
}

static enum err parse_edits(const struct parsing *p, const struct json *list, struct tool_call *c)
{
    bool one = json_type(list) == JSON_OBJECT;
    size_t n = one ? 1 : json_count(list);
    if ((json_type(list) != JSON_ARRAY && !one) || n == 0)
        return wrong(p, KEY_EDITS, "must be a list of {old, new}");
    if (n > TOOL_EDITS_MAX)
        return error_set(p->e, ERR_LIMIT, "%s takes %d edits at once, not %zu", p->tool, TOOL_EDITS_MAX, n);
    c->edits = arena_array(p->a, n, sizeof *c->edits);
    if (!c->edits)
        return full(p);
    for (size_t i = 0; i < n; i++) {
        const struct json *v = one ? list : json_at(list, i);
        struct parsing item = {.tool = p->tool, .takes = "edits: [{old, new, all}]", .bit = p->bit, .a = p->a, .e = p->e};
        if (json_type(v) != JSON_OBJECT)
            return wrong(p, KEY_EDITS, "must be a list of {old, new}");
        enum err err = collect(&item, v);
        if (!err && (item.v[KEY_EDITS] || item.v[KEY_PATH]))
            err = wrong(p, KEY_EDITS, "must be a list of {old, new} of one file");
        if (!err)
            err = parse_old_new(&item, &c->edits[i]);
        if (err)
            return err;
    }
    c->nedits = n;
    return OK;
}

static enum err parse_edit(const struct parsing *p, struct tool_call *c)
{
    JSON_CLEANUP struct json *inner = NULL;
    const struct json *list = p->v[KEY_EDITS];
    enum err err = parse_path(p, c);
    if (err)
        return err;
    if (list && (p->v[KEY_OLD] || p->v[KEY_NEW]))
        return error_set(p->e, ERR_USAGE, "edit takes either `edits` or `old` and `new`, not both");
    if (json_type(list) == JSON_TEXT) { /* a list that was written as text */
        if (json_parse(json_text(list), &inner, NULL))
            return wrong(p, KEY_EDITS, "must be a list of {old, new}");
        list = inner;
    }
    if (p->v[KEY_EDITS])
        return parse_edits(p, list, c);
    c->edits = arena_array(p->a, 1, sizeof *c->edits);
    c->nedits = c->edits != NULL;
    return c->edits ? parse_old_new(p, c->edits) : full(p);
}

/* A command as a list of words, of which only ["bash", "-lc", COMMAND] is one for a shell. */
static enum err parse_words(const struct parsing *p, struct tool_call *c)
{
    const struct json *v = p->v[KEY_COMMAND];
    struct slice shell = json_text(json_at(v, 0)), flag = json_text(json_at(v, 1)), text = json_text(json_at(v, 2));
    if (json_count(v) != 3 || !is_word(shell, "bash sh /bin/bash /bin/sh") || !is_word(flag, "-c -lc") || json_type(json_at(v, 2)) != JSON_TEXT)
        return wrong(p, KEY_COMMAND, "must be one string, a command for a shell");
    if (slice_index(text, '\0') < text.n)
        return wrong(p, KEY_COMMAND, "holds a NUL");
    c->command = arena_copy(p->a, text);
    return c->command.p ? OK : full(p);
}

static enum err parse_bash(const struct parsing *p, struct tool_call *c)
{
    uint64_t ms = 0;
    bool words = json_type(p->v[KEY_COMMAND]) == JSON_ARRAY;
    enum err err = words ? parse_words(p, c) : need_text(p, KEY_COMMAND, "command", false, &c->command);
    if (!err && slice_trim(c->command).n == 0)
        err = wrong(p, KEY_COMMAND, "is empty");
    if (!err)
        err = take_number(p, KEY_TIMEOUT, &c->timeout_s);
    if (!err)
        err = take_number(p, KEY_TIMEOUT_MS, &ms);
    if (err)
        return err;
    if (c->timeout_s > TOOL_BASH_S_MAX && c->timeout_s >= 1000) /* as others count: milliseconds */
        ms = c->timeout_s;
    if (ms)
        c->timeout_s = ms / 1000 + (ms % 1000 != 0);
    if (c->timeout_s > TOOL_BASH_S_MAX)
        c->timeout_s = TOOL_BASH_S_MAX;
    return OK;
}

/* A list of numbers, or one; numbers also as text. */
static enum err parse_ports(const struct parsing *p, struct tool_call *c)
{
    const struct json *v = p->v[KEY_PORTS];
    bool one = json_type(v) == JSON_INT || json_type(v) == JSON_TEXT;
    if (v && !one && json_type(v) != JSON_ARRAY)
        return wrong(p, KEY_PORTS, "must be a list of numbers");
    if (!one && json_count(v) > SERVICE_PORTS_MAX)
        return error_set(p->e, ERR_LIMIT, "serve takes %d ports at most", SERVICE_PORTS_MAX);
    for (size_t i = 0; v && i < (one ? 1 : json_count(v)); i++) {
        const struct json *port = one ? v : json_at(v, i);
        int64_t n = json_int(port, 0);
        if (json_type(port) == JSON_TEXT && !slice_int(slice_trim(json_text(port)), &n))
            n = 0;
        if (n < 1 || n > UINT16_MAX)
            return wrong(p, KEY_PORTS, "must be numbers from 1 to 65535");
        for (size_t k = 0; k < c->nports; k++)
            if (c->ports[k] == n)
                return wrong(p, KEY_PORTS, "names one twice");
        c->ports[c->nports++] = (uint16_t)n;
    }
    return OK;
}

static enum err parse_serve(const struct parsing *p, struct tool_call *c)
{
    enum err err = need_text(p, KEY_NAME, "name", false, &c->name);
    if (!err && !service_name_ok(c->name))
        err = wrong(p, KEY_NAME, "must be up to 32 small letters, digits and -, like `db`");
    if (!err && p->v[KEY_COMMAND])
        err = need_text(p, KEY_COMMAND, "command", false, &c->command);
    if (!err && (c->command.n > SERVICE_RUN_MAX || (p->v[KEY_COMMAND] && !slice_trim(c->command).n && c->command.n)))
        err = wrong(p, KEY_COMMAND, "must be a command of at most 8192 bytes");
    if (!err)
        err = parse_ports(p, c);
    if (!err)
        err = take_bool(p, KEY_STOP, &c->stop);
    return err ? err : take_bool(p, KEY_WRITES, &c->writes);
}

static enum err parse_ask(const struct parsing *p, struct tool_call *c)
{
    const struct json *list = p->v[KEY_OPTIONS];
    enum err err = need_text(p, KEY_QUESTION, "question", false, &c->question);
    if (!err && slice_trim(c->question).n == 0)
        err = wrong(p, KEY_QUESTION, "is empty");
    if (!err && list && json_type(list) != JSON_ARRAY)
        err = wrong(p, KEY_OPTIONS, "must be a list of texts");
    if (err)
        return err;
    if (json_count(list) > TOOL_OPTIONS_MAX)
        return error_set(p->e, ERR_LIMIT, "ask takes %d options at most", TOOL_OPTIONS_MAX);
    for (size_t i = 0; i < json_count(list); i++) {
        const struct json *v = json_at(list, i);
        struct slice s = json_text(json_type(v) == JSON_OBJECT ? json_get(v, "label") : v);
        if (s.n == 0 || slice_index(s, '\0') < s.n)
            return wrong(p, KEY_OPTIONS, "must be a list of texts");
        c->options[i] = arena_copy(p->a, s);
        if (!c->options[i].p)
            return full(p);
        c->noptions = i + 1;
    }
    return OK;
}

/* ---- the whole ---- */

/* Arguments as an object; nothing at all is {}, and an object that was written as text is one. */
static enum err parse_object(struct slice arguments, const char *tool, struct json **ret, struct error *e)
{
    struct error why = {.code = OK};
    struct json *inner = NULL;
    enum err err = slice_trim(arguments).n ? json_parse(arguments, ret, &why) : OK;
    if (!err && !*ret && slice_trim(arguments).n == 0)
        *ret = json_object();
    if (!err && json_type(*ret) == JSON_TEXT && json_parse(json_text(*ret), &inner, NULL) == OK) {
        json_free(*ret);
        *ret = inner;
    }
    if (err)
        return error_set(e, err == ERR_MEMORY ? err : ERR_CORRUPT, "the arguments of %s are no JSON object: %.300s", tool, why.text);
    return json_type(*ret) == JSON_OBJECT ? OK : error_set(e, ERR_CORRUPT, "the arguments of %s are no JSON object", tool);
}

enum err tool_call_parse(struct slice name, struct slice arguments, struct arena *a, struct tool_call *ret, struct error *e)
{
    JSON_CLEANUP struct json *tree = NULL;
    struct parsing p = {.a = a, .e = e};
    struct tool_call c = {.tool = 0};
    struct slice word = slice_trim(name);
    if (slice_starts(word, SLICE("functions.")))
        word = slice_sub(word, 10, word.n);
    for (size_t i = 0; i < sizeof tool_words / sizeof *tool_words; i++)
        if (is_word(word, tool_words[i].names)) {
            c.tool = tool_words[i].tool;
            p.takes = tool_words[i].takes;
        }
    if (!c.tool)
        return error_set(e, ERR_MISSING, "there is no tool `%.*s`; there are read, write, edit, bash, serve, ask", SLICE_ARG(slice_cut(name, 60)));
    p.tool = tool_name(c.tool);
    p.bit = 1u << c.tool;
    enum err err = parse_object(arguments, p.tool, &tree, e);
    if (!err)
        err = collect(&p, tree);
    if (!err)
        err = c.tool == TOOL_READ ? parse_read(&p, &c) : c.tool == TOOL_WRITE ? parse_write(&p, &c) : c.tool == TOOL_EDIT ? parse_edit(&p, &c) :
              c.tool == TOOL_BASH ? parse_bash(&p, &c) : c.tool == TOOL_SERVE ? parse_serve(&p, &c) : parse_ask(&p, &c);
    if (!err)
        *ret = c;
    return err;
}
