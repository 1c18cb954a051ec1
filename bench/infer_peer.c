/*
 * The peer of crannog-infer --bench: the same tokens through llama.cpp's C interface, out of the shared libraries and
 * headers that the npm package node-llama-cpp carries (bench/infer_peer.py gets them).
 *   infer_peer LIBRARIES MODEL THREADS PROMPT ANSWER
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "ggml-backend.h"
#include "llama.h"

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void quiet(enum ggml_log_level level, const char *text, void *arg)
{
    (void)level, (void)text, (void)arg;
}

static void feed(struct llama_context *c, llama_token *ids, int n)
{
    if (llama_decode(c, llama_batch_get_one(ids, n))) {
        fputs("llama_decode failed\n", stderr);
        exit(1);
    }
    llama_synchronize(c);
}

int main(int argc, char **argv)
{
    if (argc != 6)
        return 2;
    int threads = atoi(argv[3]), in = atoi(argv[4]), out = atoi(argv[5]), most = in > out ? in : out;
    llama_log_set(quiet, NULL);
    ggml_backend_load_all_from_path(argv[1]);
    struct llama_model *m = llama_model_load_from_file(argv[2], llama_model_default_params());
    struct llama_context_params p = llama_context_default_params();
    p.n_ctx = (unsigned)(most + 256) / 256 * 256;
    p.n_batch = p.n_ubatch = 512;
    p.n_threads = p.n_threads_batch = threads;
    struct llama_context *c = m ? llama_init_from_model(m, p) : NULL;
    llama_token *ids = calloc((size_t)most + 1, sizeof *ids);
    if (!c || !ids) {
        fputs("the peer does not load the model\n", stderr);
        return 1;
    }
    int vocab = llama_vocab_n_tokens(llama_model_get_vocab(m));
    for (int i = 0; i < most; i++)
        ids[i] = (llama_token)((size_t)i * 2654435761u % (size_t)vocab);
    feed(c, ids, 1); /* pages in the output matrix */
    llama_memory_clear(llama_get_memory(c), true);
    double start = now();
    for (int at = 0; at < in; at += 512)
        feed(c, ids + at, in - at < 512 ? in - at : 512);
    double middle = now();
    llama_memory_clear(llama_get_memory(c), true);
    double again = now();
    for (int i = 0; i < out; i++)
        feed(c, ids + i, 1);
    printf("llama.cpp pp%d=%.1f tg%d=%.1f\n", in, in / (middle - start), out, out / (now() - again));
    return 0;
}
