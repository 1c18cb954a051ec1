/*
 * Words for a program's own seccomp filter (crannog-infer, crannog-door): which machine it is for, and its instructions.
 *
 * FILTER_ARCH is defined where a filter can be written: on a known machine, in a build without sanitizers, which open files and start
 * threads and programs of their own. Both machines are little-endian, so a word is the low half of an argument.
 */
#ifndef CRANNOG_BASE_FILTER_H
#define CRANNOG_BASE_FILTER_H

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>

#if defined(__x86_64__)
#define FILTER_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define FILTER_ARCH AUDIT_ARCH_AARCH64
#endif

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#undef FILTER_ARCH
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#undef FILTER_ARCH
#endif
#endif

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define ANSWER(what) BPF_STMT(BPF_RET | BPF_K, (what))
#define REFUSE(errnum) ANSWER(SECCOMP_RET_ERRNO | (errnum))
#define ALLOW(nr) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (nr), 0, 1), ANSWER(SECCOMP_RET_ALLOW)
#define IF_NR(nr, steps) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (nr), 0, (steps))
#define IF_IS(value, then, otherwise) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (value), (then), (otherwise))
#define IF_BITS(bits, then, otherwise) BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, (bits), (then), (otherwise))

#endif
